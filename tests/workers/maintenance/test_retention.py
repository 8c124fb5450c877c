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


def import_dead(ledger: Ledger, *ages_s: int, size: int = 2) -> None:
    """Import a dead letter for each age in seconds; its id is the age."""
    letters = [
        DeadLetter(Delivery(str(age_s), Header(committed_ms=1), b" " * size), ledger.now_ms() - age_s * 1000)
        for age_s in ages_s
    ]
    ledger.import_dead("slack", letters)


def remaining(ledger: Ledger) -> list[str]:
    return [one.delivery.id for one in ledger.dead_letters("slack")]


def test_dead_letters_without_a_limit_never_expire(ledger: Ledger) -> None:
    import_dead(ledger, 10**9)
    Retention(ledger).run("slack", policy(), runs=0)
    assert remaining(ledger) == [str(10**9)]
    assert "expired" not in ledger.status("slack").totals


def test_too_old_dead_letters_are_deleted_counted_and_logged(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    import_dead(ledger, 90, 61, 60, 1)
    Retention(ledger).run("slack", policy(dead_max_age_s=60.0), runs=0)
    assert remaining(ledger) == ["60", "1"]
    assert ledger.status("slack").totals["expired"] == 2
    (record,) = caplog.records
    assert (record.__dict__["integration"], record.__dict__["expired"]) == ("slack", 2)
    assert "dead letters expired and deleted" in caplog.text


def test_oldest_dead_letters_beyond_max_bytes_are_deleted(ledger: Ledger, client: redis.Redis) -> None:
    import_dead(ledger, 3, 2, 1, size=1000)
    record = client.hstrlen("courier:{slack}:records", "1")
    Retention(ledger).run("slack", policy(dead_max_bytes=2 * int(record) + 1), runs=0)
    assert remaining(ledger) == ["2", "1"]
    assert ledger.status("slack").totals["dead_bytes"] == 2 * int(record)


def test_retention_runs_once_a_minute_or_until_it_is_done(ledger: Ledger) -> None:
    limited, retention = policy(dead_max_age_s=60.0), Retention(ledger)
    import_dead(ledger, *range(100, 1700))
    retention.run("slack", limited, runs=1)
    assert len(remaining(ledger)) == 1600
    retention.run("slack", limited, runs=RUN_EVERY)
    assert len(remaining(ledger)) == 600
    retention.run("slack", limited, runs=RUN_EVERY + 1)
    assert remaining(ledger) == []
    import_dead(ledger, 99)
    retention.run("slack", limited, runs=RUN_EVERY + 2)
    assert remaining(ledger) == ["99"]
    assert ledger.status("slack").totals["expired"] == 1600


def test_expiry_during_a_read_hides_no_other_dead_letter(ledger: Ledger) -> None:
    import_dead(ledger, *range(10, 0, -1))
    reading = ledger.dead_letters("slack", chunk=4)
    seen = [next(reading).delivery.id for _ in range(4)]
    ledger.retain("slack", max_age_s=6.0, max_bytes=None)
    assert [*seen, *(one.delivery.id for one in reading)] == ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"]


def test_dead_letters_of_one_moment_are_each_read_once(ledger: Ledger, clock: Clock) -> None:
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


def test_history_is_trimmed_once_a_minute(ledger: Ledger, client: redis.Redis) -> None:
    key, retention = "courier:{slack}:history", Retention(ledger)
    for run in (0, RUN_EVERY, RUN_EVERY + 1):
        client.xadd(key, {"x": "y"})
        retention.run("slack", policy(history_max=0), runs=run)
        assert client.xlen(key) == (1 if run % RUN_EVERY else 0)
    retention.run("slack", policy(history_max=7, history_max_age_s=60.0), runs=2 * RUN_EVERY)
    assert client.hget("courier:{slack}:control", "history_max") == b"7"
