from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import DeadLetter, Delivery, Header, Ledger
from tests.support.fakes import Clock, policy
from workers.maintenance.retention import RUN_EVERY, Retention

if TYPE_CHECKING:
    import redis


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def die(ledger: Ledger, *ages_s: int, size: int = 2) -> None:
    """Let a delivery have died so many seconds ago, named by it."""
    letters = [
        DeadLetter(Delivery(str(age_s), Header(committed_ms=1), b" " * size), ledger.now_ms() - age_s * 1000)
        for age_s in ages_s
    ]
    ledger.import_dead("slack", letters)


def left(ledger: Ledger) -> list[str]:
    return [one.delivery.id for one in ledger.dead_letters("slack")]


def test_without_a_limit_nothing_is_ever_given_up(ledger: Ledger) -> None:
    die(ledger, 10**9)
    Retention(ledger).run("slack", policy(), rounds=0)
    assert left(ledger) == [str(10**9)]
    assert "expired" not in ledger.status("slack").totals


def test_what_is_too_old_is_given_up_counted_and_told(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    die(ledger, 90, 61, 60, 1)
    Retention(ledger).run("slack", policy(dead_max_age_s=60.0), rounds=0)
    assert left(ledger) == ["60", "1"]
    assert ledger.status("slack").totals["expired"] == 2
    (record,) = caplog.records
    assert (record.__dict__["integration"], record.__dict__["expired"]) == ("slack", 2)
    assert "given up for good" in caplog.text


def test_of_too_many_bytes_the_oldest_are_given_up(ledger: Ledger, client: redis.Redis) -> None:
    die(ledger, 3, 2, 1, size=1000)
    record = client.hstrlen("courier:{slack}:records", "1")
    Retention(ledger).run("slack", policy(dead_max_bytes=2 * int(record) + 1), rounds=0)
    assert left(ledger) == ["2", "1"]
    assert ledger.status("slack").totals["dead_bytes"] == 2 * int(record)


def test_it_looks_once_a_minute_and_goes_on_at_once_where_one_step_is_not_enough(ledger: Ledger) -> None:
    strict, retention = policy(dead_max_age_s=60.0), Retention(ledger)
    die(ledger, *range(100, 1700))
    retention.run("slack", strict, rounds=1)
    assert len(left(ledger)) == 1600
    retention.run("slack", strict, rounds=RUN_EVERY)
    assert len(left(ledger)) == 600
    retention.run("slack", strict, rounds=RUN_EVERY + 1)
    assert left(ledger) == []
    die(ledger, 99)
    retention.run("slack", strict, rounds=RUN_EVERY + 2)
    assert left(ledger) == ["99"]
    assert ledger.status("slack").totals["expired"] == 1600


def test_what_is_given_up_while_letters_are_read_hides_none_of_the_others(ledger: Ledger) -> None:
    die(ledger, *range(10, 0, -1))
    reading = ledger.dead_letters("slack", chunk=4)
    seen = [next(reading).delivery.id for _ in range(4)]
    ledger.retain("slack", max_age_s=6.0, max_bytes=None)
    assert [*seen, *(one.delivery.id for one in reading)] == ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"]


def test_letters_of_one_moment_are_all_read_once_while_some_go(ledger: Ledger, clock: Clock) -> None:
    ids = [f"n:{i}" for i in range(9)]
    ledger.commit(
        "slack",
        node="n",
        expected="",
        cursor="c",
        deliveries=[(i, b"{}") for i in ids],
        max_backlog=99,
        max_backlog_bytes=10**6,
    )
    ledger.bury("slack", reason="buried")
    clock.now_s += 1
    reading = ledger.dead_letters("slack", chunk=4)
    seen = [next(reading).delivery.id for _ in range(4)]
    ledger.discard("slack", ids[2:4])
    assert [*seen, *(one.delivery.id for one in reading)] == ids
