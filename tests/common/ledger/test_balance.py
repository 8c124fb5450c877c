"""The numbers of an integration add up, whatever happens to its deliveries, and show what is lost."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from redis import Connection

from common.ledger import Event, Header, Notifications, Settlement, SettleOutcome, Unaccounted, unaccounted
from common.ledger.keys import keys_of
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

ID, OTHER, BACKUP, MANAGER = "slack", "shuffle", "backup", "manager"
NOTHING = Unaccounted(alerts=0, deliveries=0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def commit(ledger: Ledger, ids: Sequence[str], *, not_matched: int = 0) -> None:
    cursor = ledger.cursor(ID, "n")
    ledger.commit(
        ID,
        node="n",
        expected=cursor,
        cursor=f"{cursor}+",
        deliveries=[(one, b"{}") for one in ids],
        max_backlog=10_000,
        max_backlog_bytes=10**7,
        counters={"read": len(ids) + not_matched, "not_matched": not_matched},
    )


def settle(ledger: Ledger, delivery_id: str, outcome: str, **more: object) -> None:
    ledger.release(ID, max_in_flight=100, batch_max=100, lease_s=60, linger_s=0)
    header = Header(committed_ms=1, attempts=1)
    settlement = Settlement(id=delivery_id, outcome=SettleOutcome(outcome), reason="x", header=header, **more)  # type: ignore[arg-type]  # what the test gives
    ledger.begin(ID, [delivery_id], token="w", lease_s=60)
    notifications = Notifications(fallback=BACKUP, interval_s=0)
    ledger.settle(ID, [settlement], token="w", notifications=notifications)


def test_numbers_of_deliveries_add_up_after_every_way_in_and_out(ledger: Ledger, clock: Clock) -> None:
    def check() -> None:
        statuses = ledger.statuses([ID, OTHER, BACKUP, MANAGER])
        assert {one: unaccounted(status) for one, status in statuses.items()} == dict.fromkeys(statuses, NOTHING)

    commit(ledger, "abcdefghij", not_matched=3)
    check()
    settle(ledger, "a", "delivered", events=(Event("v", b"{}"),))
    settle(ledger, "b", "skipped")
    check()
    for one in "cdefg":
        settle(ledger, one, "dead")
        check()
    letters = list(ledger.dead_letters(ID))
    assert ledger.replay(ID, ["c"]) == ledger.move(ID, ["d"], to=OTHER) == ledger.discard(ID, ["e"]) == 1
    check()
    clock.now_s += 100
    assert ledger.retain(ID, max_age_s=1, max_bytes=None) == 2
    assert ledger.import_dead(ID, letters) == 4  # all but the replayed one
    assert ledger.close_silence(ID, "s", 0, "closing", b"{}") is False
    check()
    assert ledger.bury(ID, reason="buried") == 1
    assert ledger.let_go(ID) == 0
    check()
    totals = ledger.status(ID).totals
    assert {name: totals[name] for name in ("read", "committed", "imported", "moved", "discarded", "expired")} == {
        "read": 13,
        "committed": 10,
        "imported": 4,
        "moved": 1,
        "discarded": 1,
        "expired": 2,
    }
    assert ledger.status(BACKUP).totals["committed"] == 5
    assert ledger.status(MANAGER).totals["committed"] > 1


@pytest.mark.parametrize("state", ["waiting", "released", "dead"])
def test_a_delivery_that_disappears_is_unaccounted_for(ledger: Ledger, client: redis.Redis, state: str) -> None:
    commit(ledger, "abc")
    if state == "dead":
        ledger.bury(ID, reason="buried")
    elif state == "released":
        ledger.release(ID, max_in_flight=100, batch_max=100, lease_s=60, linger_s=0)
    client.zrem(getattr(keys_of(ID), state), "a", "b")
    assert unaccounted(ledger.status(ID)) == Unaccounted(alerts=0, deliveries=2)


def test_a_delivery_without_a_record_is_unaccounted_for(ledger: Ledger, client: redis.Redis) -> None:
    commit(ledger, "abc")
    client.hdel(keys_of(ID).records, "a")
    assert ledger.bury(ID, reason="buried") == 2
    assert unaccounted(ledger.status(ID)) == Unaccounted(alerts=0, deliveries=1)


def test_a_lost_counter_is_shown(ledger: Ledger, client: redis.Redis) -> None:
    commit(ledger, "abc", not_matched=2)
    client.hdel(keys_of(ID).totals, "not_matched", "committed")
    assert unaccounted(ledger.status(ID)) == Unaccounted(alerts=2, deliveries=-3)


def test_damaged_keys_have_no_numbers(ledger: Ledger, client: redis.Redis) -> None:
    commit(ledger, "abc")
    client.set(keys_of(ID).waiting, "x")
    assert unaccounted(ledger.status(ID)) is None


def test_numbers_add_up_while_others_change_them(
    client: redis.Redis, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries are queued, released and settled after each command with which a status is read."""
    send, working = Connection.send_packed_command, [False]

    def send_one_by_one(connection: Connection, commands: Any, check_health: bool = True) -> None:
        for command in [commands] if isinstance(commands, bytes) else commands:
            send(connection, [command], check_health)  # type: ignore[no-untyped-call]  # redis has no types for it
            if not working[0]:
                working[0] = True
                work()
                working[0] = False

    def pack_one_by_one(connection: Connection, commands: Iterable[Sequence[Any]]) -> list[bytes]:
        return [b"".join(connection.pack_command(*one)) for one in commands]  # type: ignore[no-untyped-call]  # redis has no types for it

    with server.client() as own:
        busy, numbers = Ledger(own), count()

        def work() -> None:
            commit(busy, [f"{next(numbers)}" for _ in range(5)])
            for task in busy.release(ID, max_in_flight=100, batch_max=3, lease_s=60, linger_s=0):
                delivered = [Settlement(id=one, outcome=SettleOutcome.DELIVERED) for one in task[:-1]]
                busy.begin(ID, task, token="w", lease_s=60)
                busy.settle(ID, delivered, token="w")

        working[0] = True
        work()  # connects and loads the scripts
        working[0] = False
        monkeypatch.setattr(Connection, "send_packed_command", send_one_by_one)
        monkeypatch.setattr(Connection, "pack_commands", pack_one_by_one)
        before = next(numbers)
        status = Ledger(client).status(ID)
        assert next(numbers) > before + 50
    assert unaccounted(status) == NOTHING
    assert status.totals["delivered"] > 0
