"""Deliveries are found by id in every state, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import Place, Settlement, SettleOutcome
from common.ledger.record import Header
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from common.ledger import Located

IDS = ("waiting", "released", "begun", "dead", "retried")


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    ledger = Ledger(client, clock=lambda: 1000.0)
    ledger.commit(
        "slack",
        node="n",
        expected="",
        cursor="1",
        deliveries=[(one, one.encode()) for one in IDS[1:]],
        max_backlog=100,
        max_backlog_bytes=10**6,
    )
    ledger.release("slack", max_in_flight=10, batch_max=10, lease_s=60, linger_s=0)
    ledger.begin("slack", IDS[2:], token="w", lease_s=90)
    header = Header(committed_ms=1_000_000, attempts=1)
    ends = [
        Settlement(id="dead", outcome=SettleOutcome.DEAD, reason="http_4xx", header=header),
        Settlement(id="retried", outcome=SettleOutcome.RETRY, reason="timeout", header=header, delay_ms=5000),
    ]
    assert ledger.settle("slack", ends, token="w").count == 2
    ledger.commit(
        "slack",
        node="n",
        expected="1",
        cursor="2",
        deliveries=[("waiting", b"waiting")],
        max_backlog=100,
        max_backlog_bytes=10**6,
    )
    return ledger


def located(ledger: Ledger, *ids: str) -> dict[str, Located]:
    found = ledger.locate({"slack": ids, "shuffle": ids, "empty": []})
    assert set(found) <= {"slack"}
    return {one.delivery.id: one for one in found.get("slack", [])}


def test_each_state_has_its_times(ledger: Ledger) -> None:
    found = located(ledger, *IDS, "unknown")
    assert {one: state.place for one, state in found.items()} == {
        "waiting": Place.WAITING,
        "released": Place.RELEASED,
        "begun": Place.RELEASED,
        "dead": Place.DEAD,
        "retried": Place.WAITING,
    }
    assert [(found[one].due_ms, found[one].before) for one in ("waiting", "retried")] == [
        (1_000_000, 0),
        (1_005_000, 1),
    ]
    assert (found["released"].lease_ms, found["released"].holder) == (1_060_000, "")
    assert (found["begun"].lease_ms, found["begun"].holder) == (1_090_000, "w")
    assert found["dead"].died_ms == 1_000_000
    assert all(one.delivery.alert == one.delivery.id.encode() for one in found.values())


def test_record_without_a_state_is_left_out(ledger: Ledger, client: redis.Redis) -> None:
    client.zrem("courier:{slack}:dead", "dead")
    assert list(located(ledger, "dead", "waiting")) == ["waiting"]


def test_unreadable_record_has_a_problem(ledger: Ledger, client: redis.Redis) -> None:
    client.hset("courier:{slack}:records", "dead", b"\xff")
    found = located(ledger, "dead")["dead"]
    assert (found.place, found.delivery.alert) == (Place.DEAD, b"\xff")
    assert "cannot be read" in found.problem


def test_damaged_integration_is_left_out(ledger: Ledger, client: redis.Redis) -> None:
    client.delete("courier:{slack}:waiting")
    client.set("courier:{slack}:waiting", "x")
    assert located(ledger, *IDS) == {}
