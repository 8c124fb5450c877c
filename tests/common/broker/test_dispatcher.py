from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from common.broker.dispatcher import PICKUP_TIMEOUT_S, Dispatcher, ReleaseTarget
from common.connection.client import connect
from common.errors import LedgerUnavailable
from common.ledger import NO_NOTIFICATIONS, Ledger, Reaped, Release
from common.settings.rate_limit import parse_rate_limit
from ops.standalone.embedded_redis import EmbeddedServer, free_port
from tests.support.fakes import Clock, policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis

ALERT = b'{"secret-content": 1}'


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


@pytest.fixture
def dispatcher(client: redis.Redis, ledger: Ledger) -> Dispatcher:
    return Dispatcher(ledger, client)


def commit(ledger: Ledger, count: int, to: str = "slack") -> None:
    deliveries = [(f"{n:04}", ALERT) for n in range(count)]
    ledger.commit(
        to,
        node="n",
        expected="",
        cursor="c",
        deliveries=deliveries,
        max_backlog=10_000,
        max_backlog_bytes=10**9,
    )


def published(client: redis.Redis, to: str = "slack") -> list[Any]:
    messages: Any = client.lrange(f"courier.{to}", 0, -1)
    return [json.loads(base64.b64decode(json.loads(m)["body"]))[0] for m in messages]


def test_short_backlog_shares_one_task_with_ids_only(
    client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher
) -> None:
    commit(ledger, 2)
    assert dispatcher.dispatch(ReleaseTarget.of("slack", policy(), "t")) == 2
    assert published(client) == [["slack", ["0000", "0001"]]]
    (raw,) = client.lrange("courier.slack", 0, 0)
    assert b"secret-content" not in base64.b64decode(json.loads(raw)["body"])


def test_rate_limits_bound_what_is_published(client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher) -> None:
    commit(ledger, 100)
    limited = policy(rate_limits=(parse_rate_limit("4/min"),), batch_max=1)
    assert [dispatcher.dispatch(ReleaseTarget.of("slack", limited, "t")) for _ in range(2)] == [4, 0]
    assert len(published(client)) == 4


def test_long_backlog_is_published_in_batches(client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher) -> None:
    commit(ledger, 3000)
    assert dispatcher.dispatch(ReleaseTarget.of("slack", policy(max_in_flight=2048, batch_max=64), "t")) == 2048
    sizes = [len(ids) for _, ids in published(client)]
    assert sizes == [64] * 32


def test_lost_messages_are_republished_but_queued_ones_are_not(
    client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher, clock: Clock
) -> None:
    one_each = policy(lease_s=60.0, batch_max=1)
    commit(ledger, 3)
    dispatcher.dispatch(ReleaseTarget.of("slack", one_each, "t"))
    client.ltrim("courier.slack", 0, 0)
    clock.now_s += 61
    assert dispatcher.reap({"slack": (one_each, NO_NOTIFICATIONS)})["slack"].released_again == 2
    assert dispatcher.dispatch(ReleaseTarget.of("slack", one_each, "t")) == 2
    assert len(published(client)) == 3


def test_dispatch_all_publishes_to_the_queue_of_each_integration(
    client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.broker.dispatcher.RELEASES_PER_ROUND_TRIP", 2)
    names = ["slack", "shuffle", "idle", "pagerduty", "custom-x"]
    for one in names[:2] + names[3:]:
        commit(ledger, 2, one)
    assert dispatcher.dispatch_all([ReleaseTarget.of(one, policy(), "t") for one in names]) == 8
    assert {one: published(client, one) for one in names} == {
        one: [] if one == "idle" else [[one, ["0000", "0001"]]] for one in names
    }


def test_reap_takes_lost_deliveries_but_not_queued_ones(
    client: redis.Redis, ledger: Ledger, dispatcher: Dispatcher, clock: Clock
) -> None:
    for one in ("slack", "shuffle"):
        commit(ledger, 2, one)
        dispatcher.dispatch(ReleaseTarget.of(one, policy(), "t"))
    client.delete("courier.slack")
    clock.now_s += PICKUP_TIMEOUT_S + 1
    wanted = dict.fromkeys(("slack", "shuffle", "idle"), (policy(), NO_NOTIFICATIONS))
    assert dispatcher.reap(wanted) == {
        "slack": Reaped(0, 2, 0),
        "shuffle": Reaped(0, 0, 0),
        "idle": Reaped(0, 0, 0),
    }


def test_redis_dying_between_release_and_publish_loses_nothing(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, port=free_port())
    server.start()
    with connect(server.url) as client:
        ledger = Ledger(client)
        commit(ledger, 1)

        class Dying(Ledger):
            def release_all(self, wanted: Mapping[str, Release]) -> dict[str, list[list[str]]]:
                tasks = super().release_all(wanted)
                server.kill()
                return tasks

        with pytest.raises(LedgerUnavailable):
            Dispatcher(Dying(client), client).dispatch(ReleaseTarget.of("slack", policy(), "t"))
    server.start()
    with connect(server.url) as client:
        status = Ledger(client).status("slack")
        assert status.waiting + status.released == 1
    server.stop()
