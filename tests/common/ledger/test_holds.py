"""Held deliveries: due at the end of a window, and nothing else about them differs from those that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from common.integration import MANAGER_ID
from common.ledger import Breaker, Commit, Full, Header, Limits, Notifications, Reap, Settlement, SettleOutcome, Stored
from common.ledger.keys import keys_of
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

    from common.ledger import CommitResult

ID = "slack"
HOUR_S = 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def commit(ledger: Ledger, ids: str, held: str = "", *, hours: float = 8, max_backlog: int = 1000) -> CommitResult:
    """Commit deliveries with these letters as ids; those of `held` are held for some hours."""
    until_ms = ledger.now_ms() + round(hours * HOUR_S * 1000)
    cursor = ledger.cursor(ID, "n")
    terms = Commit(
        node="n",
        expected=cursor,
        cursor=f"{cursor}+",
        deliveries=[(one, b"{}") for one in ids],
        max_backlog=max_backlog,
        max_backlog_bytes=10**6,
        held_until_ms=dict.fromkeys(held, until_ms),
    )
    return ledger.commit_all({ID: terms}, {})[0][ID]


def release(ledger: Ledger, limits: Limits = Limits()) -> list[str]:  # noqa: B008 — immutable
    tasks = ledger.release(ID, max_in_flight=5000, batch_max=1000, lease_s=60, linger_s=0, limits=limits)
    return sorted(one for task in tasks for one in task)


def test_a_held_delivery_waits_until_its_time_and_then_goes(ledger: Ledger, clock: Clock) -> None:
    end_ms = ledger.now_ms() + 8 * HOUR_S * 1000
    assert commit(ledger, "abc", held="ac") == Stored(3)
    assert release(ledger) == ["b"]
    status = ledger.status(ID)
    assert (status.waiting, status.held, status.oldest_age_s, status.overdue_s) == (2, {end_ms: 2}, None, 0.0)
    clock.now_s += 8 * HOUR_S - 1
    assert release(ledger) == []
    assert ledger.status(ID).held == {end_ms: 2}
    clock.now_s += 61
    status = ledger.status(ID)
    assert (status.held, status.oldest_age_s, status.overdue_s) == ({}, 60, 60)
    assert release(ledger) == ["a", "c"]
    (begun,) = ledger.begin(ID, ["a"], token="w", lease_s=60)
    assert begun.header.held_until_ms == end_ms


def test_a_window_that_has_ended_by_the_ledgers_clock_holds_nothing(ledger: Ledger) -> None:
    commit(ledger, "a", held="a", hours=0)
    assert release(ledger) == ["a"]
    assert ledger.status(ID).held == {}


def test_holds_with_several_ends_are_counted_by_end(client: redis.Redis, ledger: Ledger, clock: Clock) -> None:
    now_ms = ledger.now_ms()
    commit(ledger, "ab", held="ab", hours=8)
    commit(ledger, "c", held="c", hours=2)
    assert ledger.status(ID).held == {now_ms + 2 * HOUR_S * 1000: 1, now_ms + 8 * HOUR_S * 1000: 2}
    for number in range(50):  # windows that were changed often
        commit(ledger, "d", held="d", hours=3 + number / 100)  # stored only once
    assert sum(ledger.status(ID).held.values()) == 4
    clock.now_s += 3 * HOUR_S
    assert release(ledger) == ["c", "d"]
    assert sum(ledger.status(ID).held.values()) == 2
    for number in range(100):  # windows that were changed very often
        commit(ledger, chr(1000 + number), held=chr(1000 + number), hours=9 + number / 100)
    assert len(client.hget(keys_of(ID).control, "held") or b"") < 31 * 14
    assert sum(ledger.status(ID).held.values()) == 30


def test_held_deliveries_count_in_the_backlog(ledger: Ledger) -> None:
    assert commit(ledger, "abc", held="abc", max_backlog=4) == Stored(3)
    assert commit(ledger, "de", max_backlog=4) == Full(1)
    assert ledger.room(ID, max_backlog=4, max_backlog_bytes=10**6) == 0.25


def test_a_commit_with_a_damaged_key_changes_nothing(client: redis.Redis, ledger: Ledger) -> None:
    client.set(keys_of(ID).control, "another program's")
    terms = Commit(
        node="n",
        expected="",
        cursor="c",
        deliveries=[("a", b"{}")],
        max_backlog=9,
        max_backlog_bytes=999,
        held_until_ms={"a": ledger.now_ms() + 1000},
    )
    assert ledger.commit_all({ID: terms}, {}) == ({}, {})
    assert not client.exists(keys_of(ID).records, keys_of(ID).waiting)


@pytest.mark.parametrize("foreign", [b"", b"x y", b"9" * 400, b"nan inf -5", b"1 2 3", b"\xff" * 9])
def test_foreign_ends_are_ignored(client: redis.Redis, ledger: Ledger, foreign: bytes) -> None:
    client.hset(keys_of(ID).control, "held", foreign)
    assert ledger.status(ID).held == {}
    commit(ledger, "ab", held="a")
    assert sum(ledger.status(ID).held.values()) == 1
    assert release(ledger) == ["b"]
    assert ledger.let_go(ID) == 1
    assert release(ledger) == ["a"]


# -- courier release


def test_release_lets_all_held_go_in_bounded_calls(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, "abcde", held="abcd")
    commit(ledger, "f", held="f", hours=2)
    clock.now_s += 60
    assert [ledger.let_go(ID, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert ledger.status(ID).held == {}
    assert release(ledger) == ["a", "b", "c", "d", "e", "f"]
    clock.now_s += 30
    status = ledger.status(ID)
    assert (status.waiting, status.unsettled_age_s) == (0, 30)
    assert ledger.begin(ID, ["a"], token="w", lease_s=60)[0].header.held_until_ms == ledger.now_ms() - 30_000


def test_release_keeps_the_count_of_bytes(client: redis.Redis, ledger: Ledger) -> None:
    commit(ledger, "ab", held="ab")
    ledger.let_go(ID)
    stored = sum(map(len, client.hvals(keys_of(ID).records)))
    assert ledger.status(ID).totals["bytes"] == stored


def test_release_of_an_unreadable_record_leaves_it_to_begin(client: redis.Redis, ledger: Ledger) -> None:
    commit(ledger, "ab", held="ab")
    client.hset(keys_of(ID).records, "a", b"no header")
    assert ledger.let_go(ID) == 2
    assert release(ledger) == ["a", "b"]
    assert [one.id for one in ledger.begin(ID, ["a", "b"], token="w", lease_s=60)] == ["b"]
    assert ledger.status(ID).dead == 1


def test_release_leaves_retries_and_replays_alone(ledger: Ledger) -> None:
    commit(ledger, "abc", held="c")
    release(ledger)
    ledger.begin(ID, ["a", "b"], token="w", lease_s=60)
    header = Header(committed_ms=1, attempts=1)
    retry = Settlement(id="a", outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=9000, header=header)
    dead = Settlement(id="b", outcome=SettleOutcome.DEAD, reason="http_4xx", header=header)
    ledger.settle(ID, [retry, dead], token="w")
    ledger.replay(ID, ["b"], after_s=9)
    status = ledger.status(ID)
    assert (sum(status.held.values()), status.waiting) == (1, 3)
    assert ledger.let_go(ID) == 1
    assert release(ledger) == ["c"]


# -- what else reads due times


def test_a_clock_that_is_set_back_moves_held_deliveries_too(ledger: Ledger, clock: Clock) -> None:
    end_ms = ledger.now_ms() + 8 * HOUR_S * 1000
    assert release(ledger) == []  # notes the clock
    commit(ledger, "abc", held="ab")
    clock.now_s -= HOUR_S
    assert release(ledger) == ["c"]
    assert ledger.status(ID).held == {end_ms - HOUR_S * 1000: 2}
    clock.now_s += 8 * HOUR_S  # eight hours after the commit, as before
    assert release(ledger) == ["a", "b"]


def test_many_held_deliveries_are_counted_while_a_set_back_clock_moves_them(ledger: Ledger, clock: Clock) -> None:
    until_ms = ledger.now_ms() + 8 * HOUR_S * 1000
    ids = [f"{n:04}" for n in range(1200)]
    terms = Commit(
        node="n",
        expected="",
        cursor="c",
        deliveries=[(one, b"{}") for one in ids],
        max_backlog=9999,
        max_backlog_bytes=10**6,
        held_until_ms=dict.fromkeys(ids, until_ms),
    )
    ledger.commit_all({ID: terms}, {})
    release(ledger)  # notes the clock
    clock.now_s -= HOUR_S
    for _ in range(5):
        assert release(ledger) == []
        assert sum(ledger.status(ID).held.values()) == 1200
    assert ledger.status(ID).held == {until_ms - HOUR_S * 1000: 1200}


def test_the_probe_of_a_breaker_is_not_a_held_delivery(ledger: Ledger, clock: Clock) -> None:
    limits = Limits(target="T", breaker=Breaker(failures=1, pause_s=10))
    commit(ledger, "ab", held="b")
    assert release(ledger, limits) == ["a"]
    ledger.begin(ID, ["a"], token="w", lease_s=60, limits=limits)
    failed = Settlement(
        id="a", outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=1000, header=Header(committed_ms=1, attempts=1)
    )
    ledger.settle(ID, [failed], token="w", limits=limits)
    clock.now_s += 20
    assert release(ledger, limits) == ["a"]


def test_a_daily_limit_is_not_short_because_of_held_deliveries(ledger: Ledger) -> None:
    limits = Limits(target="T", newest_first=True)
    commit(ledger, "abc", held="c")
    assert release(ledger, limits) == ["a", "b"]


def test_a_held_delivery_is_not_late_and_one_whose_hold_ended_counts_from_then(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, "a", held="a")
    terms = Reap(queued=(), lease_s=60, notifications=Notifications(interval_s=1, lag_s=60))

    def notified() -> int:
        clock.now_s += 11  # it checks every ten seconds
        ledger.reap_all({ID: terms})
        return ledger.status(MANAGER_ID).waiting

    clock.now_s += 4 * HOUR_S
    assert notified() == 0
    clock.now_s += 4 * HOUR_S - 11
    assert notified() == 0
    clock.now_s += 60
    assert notified() == 1


def test_held_deliveries_can_be_buried_and_replayed_at_once(ledger: Ledger) -> None:
    commit(ledger, "ab", held="ab")
    assert ledger.bury(ID, reason="buried") == 2
    status = ledger.status(ID)
    assert (status.held, status.dead) == ({}, 2)
    ledger.replay(ID, ["a"])
    ledger.move(ID, ["b"], to="other")
    assert release(ledger) == ["a"]
    (begun,) = ledger.begin(ID, ["a"], token="w", lease_s=60)
    assert structs.asdict(begun.header)["held_until_ms"] == 0
    assert ledger.status("other").oldest_age_s is not None
