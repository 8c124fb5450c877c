"""Rate limits with a fake clock: each is exact, shared by credential, and waiting for it writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import Header, Limits, Settlement, SettleOutcome
from common.settings.rate_limit import parse_rate_limit
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

DAY_S = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def limits_of(*texts: str, target: str = "T") -> Limits:
    return Limits(target=target, rate_limits=tuple(map(parse_rate_limit, texts)))


def commit(ledger: Ledger, count: int, integration: str = "slack") -> None:
    deliveries = [(f"{n:06}", b"{}") for n in range(count)]
    ledger.commit(
        integration,
        node="n",
        expected="",
        cursor="c",
        deliveries=deliveries,
        max_backlog=10**6,
        max_backlog_bytes=10**9,
    )


def release(ledger: Ledger, limits: Limits, integration: str = "slack", cap: int = 10_000) -> list[str]:
    tasks = ledger.release(integration, max_in_flight=cap, batch_max=64, lease_s=60, linger_s=0, limits=limits)
    return [one for task in tasks for one in task]


def test_bucket_releases_its_burst_and_then_its_rate(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 20)
    limits = limits_of("1/s burst 3")
    went = []
    for _ in range(40):
        went.append(len(release(ledger, limits)))
        clock.now_s += 0.25
    assert went[:13] == [3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert sum(went) == 12
    clock.now_s += 3600
    assert len(release(ledger, limits)) == 3


def test_default_burst_is_one_second_of_the_rate(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 100)
    assert [len(release(ledger, limits_of("5/s"))) for _ in range(2)] == [5, 0]
    clock.now_s += 0.2
    assert len(release(ledger, limits_of("5/s"))) == 1


def test_minute_limit_is_a_sliding_window(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 100)
    limits, went = limits_of("4/min"), list[int]()
    for step_s in (0, 30, 29.999, 0.001, 10, 19.999, 0.001, 59.999, 0.001):
        clock.now_s += step_s
        cap = 2 if not went else 10_000
        went.append(len(release(ledger, limits, cap=cap)))
    assert went == [2, 2, 0, 2, 0, 0, 2, 2, 2]


def test_hour_limit_is_a_sliding_window(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 300)
    assert len(release(ledger, limits_of("100/h"))) == 100
    clock.now_s += 3599.999
    assert release(ledger, limits_of("100/h")) == []
    clock.now_s += 0.001
    assert len(release(ledger, limits_of("100/h"))) == 100


def test_large_window_has_at_most_1000_entries_and_keeps_its_limit(
    client: redis.Redis, ledger: Ledger, clock: Clock
) -> None:
    commit(ledger, 20_000)
    limits, went = limits_of("3000/min"), list[tuple[float, int]]()
    for _ in range(3000):
        went.append((clock.now_s, len(release(ledger, limits, cap=4))))
        client.delete("courier:{slack}:released")
        clock.now_s += 0.013
    assert int(client.llen("courier:limits:{T}:min")) <= 1001
    assert sum(n for _, n in went) == 3000
    clock.now_s = went[0][0] + 59.999
    assert release(ledger, limits) == []
    clock.now_s += 0.061
    assert release(ledger, limits)


def test_daily_limit_resets_at_midnight_utc(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 2000)
    clock.now_s = 19_675 * DAY_S + DAY_S - 1
    assert len(release(ledger, limits_of("500/day"))) == 500
    clock.now_s += 0.999
    assert release(ledger, limits_of("500/day")) == []
    clock.now_s += 0.001
    assert len(release(ledger, limits_of("500/day"))) == 500


def test_clock_set_back_over_midnight_resets_no_daily_limit(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 20)
    clock.now_s = 19_675 * DAY_S + DAY_S - 1
    assert len(release(ledger, limits_of("5/day"))) == 5
    clock.now_s += 2
    assert len(release(ledger, limits_of("5/day"))) == 5
    clock.now_s -= 3
    assert release(ledger, limits_of("5/day")) == []
    assert ledger.status("slack").limits == {"5/day": 0}
    clock.now_s += 3
    assert release(ledger, limits_of("5/day")) == []
    clock.now_s += DAY_S
    assert len(release(ledger, limits_of("5/day"))) == 5


def test_release_needs_tokens_of_all_limits(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 100)
    limits, went = limits_of("4/min", "10/day", "2/s"), []
    for _ in range(8):
        went.append(len(release(ledger, limits)))
        clock.now_s += 30
    assert went == [2, 2, 2, 2, 2, 0, 0, 0]
    assert ledger.status("slack").limits == {"4/min": 4, "10/day": 0, "2/s": 2}


def test_release_spends_tokens_only_for_due_deliveries(ledger: Ledger, clock: Clock) -> None:
    limits = limits_of("4/min")
    commit(ledger, 2)
    assert len(release(ledger, limits)) == 2
    assert release(ledger, limits) == []
    assert ledger.status("slack").limits == {"4/min": 2}
    clock.now_s += 1
    assert release(ledger, limits, cap=1) == []


def test_integrations_with_one_credential_share_a_limit(ledger: Ledger) -> None:
    for integration in ("slack", "slack-2", "slack-3"):
        commit(ledger, 10, integration)
    assert len(release(ledger, limits_of("4/min"), "slack", cap=3)) == 3
    assert len(release(ledger, limits_of("4/min"), "slack-2")) == 1
    assert release(ledger, limits_of("4/min"), "slack") == []
    assert len(release(ledger, limits_of("4/min", target="other"), "slack-3")) == 4


def test_clock_set_back_neither_exceeds_nor_extends_a_limit(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 200)
    limits = limits_of("4/min", "2/s")
    assert len(release(ledger, limits)) == 2
    clock.now_s -= 7 * DAY_S
    ledger.commit(
        "slack", node="m", expected="", cursor="c", deliveries=[("x", b"{}")], max_backlog=999, max_backlog_bytes=10**9
    )
    assert release(ledger, limits) == []
    clock.now_s += 1
    assert len(release(ledger, limits)) == 2
    assert ledger.status("slack").limits == {"4/min": 0, "2/s": 0}
    clock.now_s += 59
    assert ledger.status("slack").limits == {"4/min": 2, "2/s": 2}


def test_waiting_for_a_token_writes_nothing(client: redis.Redis, ledger: Ledger) -> None:
    commit(ledger, 50)
    limits = limits_of("4/min", "500/day")
    release(ledger, limits)
    before = {key: client.dump(key) for key in client.keys("courier:*")}
    assert [release(ledger, limits) for _ in range(10)] == [[]] * 10
    assert {key: client.dump(key) for key in client.keys("courier:*")} == before


def test_status_shows_limits_without_the_credential(client: redis.Redis, ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 10)
    release(ledger, limits_of("1/s burst 3", "4/min"))
    clock.now_s += 1
    assert Ledger(client, clock=clock).status("slack").limits == {"1/s burst 3": 1, "4/min": 1}


def test_delivery_put_back_refunds_its_tokens(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 50)
    limits = limits_of("10/min", "100/h", "20/day")
    ids = release(ledger, limits)
    assert ledger.begin("slack", ids[:2], token="w", lease_s=60, limits=limits)
    ledger.pause("slack")
    clock.now_s += 10
    assert ledger.begin("slack", ids[2:], token="w", lease_s=60, limits=limits) == []
    status = ledger.status("slack")
    assert status.limits == {"10/min": 8, "100/h": 98, "20/day": 18}
    assert (status.waiting, status.released, status.totals["put_back"]) == (48, 2, 8)
    ledger.resume("slack")
    assert sorted(release(ledger, limits)) == ids[2:]
    clock.now_s += 49.999
    assert release(ledger, limits) == []


def test_tokens_of_yesterday_are_not_refunded_today(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 50)
    clock.now_s = 19_677 * DAY_S - 1
    limits = limits_of("20/day", "10/min")
    ids = release(ledger, limits)
    clock.now_s += 61
    release(ledger, limits, cap=13)
    ledger.pause("slack")
    ledger.begin("slack", ids, token="w", lease_s=60, limits=limits)
    assert ledger.status("slack").limits == {"20/day": 17, "10/min": 7}


def test_lost_delivery_spends_tokens_again(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 1)
    limits = limits_of("2/day")
    assert release(ledger, limits) == ["000000"]
    clock.now_s += 61
    assert ledger.reap("slack", queued=(), lease_s=60).released_again == 1
    assert release(ledger, limits) == ["000000"]
    assert ledger.status("slack").limits == {"2/day": 0}


def test_retry_spends_a_token(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, 1)
    limits = limits_of("1/min")
    ids = release(ledger, limits)
    ledger.begin("slack", ids, token="w", lease_s=60, limits=limits)
    retry = Settlement(
        id=ids[0], outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=1, header=Header(committed_ms=1)
    )
    ledger.settle("slack", [retry], token="w", limits=limits)
    clock.now_s += 59.9
    assert release(ledger, limits) == []
    clock.now_s += 0.1
    assert release(ledger, limits) == ids


def test_newest_first_applies_if_the_daily_limit_is_short(ledger: Ledger, clock: Clock) -> None:
    limits = Limits(target="T", rate_limits=(parse_rate_limit("3/day"),), newest_first=True)
    cursor = ""
    for n in range(5):
        fresh = {"node": "n", "expected": cursor, "cursor": str(n), "max_backlog": 9, "max_backlog_bytes": 10**6}
        ledger.commit("slack", deliveries=[(f"{n}", b"{}")], **fresh)  # type: ignore[arg-type]  # of several types
        cursor = str(n)
        clock.now_s += 1
    assert release(ledger, limits, cap=2) == ["4", "3"]
    assert release(ledger, limits, cap=9) == ["2"]
    assert release(ledger, limits) == []
    clock.now_s += DAY_S
    assert release(ledger, limits) == ["0", "1"]
    assert ledger.status("slack").waiting == 0


def test_delivery_that_did_not_contact_the_target_is_refunded(ledger: Ledger) -> None:
    limits = limits_of("2/day")
    commit(ledger, 4)
    for outcome in ("delivered", "postponed"):
        ids = release(ledger, limits)
        header = Header(committed_ms=1, completed_calls=("ip",))
        for one in ledger.begin("slack", ids, token="w", lease_s=60, limits=limits):
            remembered = Settlement(
                id=one.id, outcome=SettleOutcome(outcome), contacted=False, header=header, delay_ms=10**6
            )
            ledger.settle("slack", [remembered], token="w", limits=limits)
    assert len(ids) == 2
    status = ledger.status("slack")
    assert (status.totals["delivered"], status.totals["postponed"], status.waiting) == (2, 2, 2)
