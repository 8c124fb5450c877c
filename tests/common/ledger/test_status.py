"""The state of many integrations at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger import BreakerState, Header, Limits, Settlement, SettleOutcome
from common.ledger.keys import keys_of, keys_with_cursor, limit_keys
from common.ledger.record import Attempt
from common.ledger.status import MAX_RECORDS, read_statuses
from common.settings.rate_limit import parse_rate_limit
from tests.support.fakes import Clock
from tests.support.ledger import Ledger
from tests.support.round_trips import counted_round_trips

if TYPE_CHECKING:
    import redis

IDS = [f"custom-{n}" for n in range(100)]
LIMITS = Limits(target="shared", rate_limits=(parse_rate_limit("9/min"),))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(client: redis.Redis, clock: Clock) -> Ledger:
    return Ledger(client, clock=clock)


def commit(ledger: Ledger, integration_id: str, *ids: str) -> None:
    ledger.commit(
        integration_id,
        node="n",
        expected=ledger.cursor(integration_id, "n"),
        cursor=ids[-1],
        deliveries=[(one, b"{}") for one in ids],
        max_backlog=1000,
        max_backlog_bytes=10**6,
    )


def test_any_number_of_integrations_takes_three_round_trips(client: redis.Redis) -> None:
    ledger = Ledger(client)
    for one in (IDS[0], IDS[99]):
        commit(ledger, one, "a", "b")
    for ids in (IDS[:1], IDS):
        with counted_round_trips() as trips:
            statuses = ledger.statuses(ids)
        assert trips() == 3
        assert list(statuses) == ids
    assert [one for one, status in statuses.items() if status.waiting == 2] == [IDS[0], IDS[99]]


def test_no_integrations_have_no_statuses(ledger: Ledger) -> None:
    assert ledger.statuses([]) == {}


def test_each_status_is_that_of_its_integration(ledger: Ledger, client: redis.Redis, clock: Clock) -> None:
    commit(ledger, "slack", "a", "b", "c")
    clock.now_s += 5
    (task,) = ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0, limits=LIMITS)
    ledger.begin("slack", task, token="w", lease_s=60, limits=LIMITS)
    header = Header(committed_ms=1, attempts=1, history=(Attempt(1, "timeout", ""),))
    failed = Settlement(id=task[0], outcome=SettleOutcome.RETRY, reason="timeout", delay_ms=9_000, header=header)
    ledger.settle("slack", [failed], token="w", last_error="timeout: slow", limits=LIMITS)
    ledger.pause("pagerduty", "why")
    client.set(keys_of("shuffle").dead, "x")
    statuses = ledger.statuses(["slack", "pagerduty", "shuffle", "new"])
    slack, pagerduty, shuffle, new = statuses.values()
    assert (slack.waiting, slack.failed, slack.last_error, slack.limits) == (3, 1, "timeout: slow", {"9/min": 8})
    assert (pagerduty.paused_ms, pagerduty.pause_reason, pagerduty.waiting) == (ledger.now_ms(), "why", 0)
    assert (shuffle.damaged, shuffle.dead) == ((keys_of("shuffle").dead,), 0)
    assert new == ledger.status("other")
    assert all(ledger.status(one) == status for one, status in statuses.items())


def test_ages_of_waiting_and_of_released_deliveries(ledger: Ledger, clock: Clock) -> None:
    commit(ledger, "slack", "a")
    clock.now_s += 10
    ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0)
    commit(ledger, "slack", "b")
    clock.now_s += 5
    status = ledger.status("slack")
    assert (status.oldest_age_s, status.unsettled_age_s, status.overdue_s) == (5.0, 15.0, 5.0)


@pytest.mark.parametrize(("number", "is_found"), [(10, True), (1000, False)])
def test_many_integrations_are_read_with_smaller_samples(
    ledger: Ledger, client: redis.Redis, clock: Clock, *, number: int, is_found: bool
) -> None:
    commit(ledger, "slack", "old")
    clock.now_s += 60
    commit(ledger, "slack", *map(str, range(50)))
    client.zadd(keys_of("slack").waiting, {"old": round(clock.now_s * 1000) + 1})
    ids = ["slack", *(f"custom-{n}" for n in range(number - 1))]
    assert MAX_RECORDS // number in {100, 1}
    assert ledger.statuses(ids)["slack"].oldest_age_s == (60.0 if is_found else 0.0)


def test_a_brief_status_has_all_but_the_limits(ledger: Ledger, client: redis.Redis) -> None:
    commit(ledger, "slack", "a", "b")
    ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0, limits=LIMITS)
    whole, brief = ledger.status("slack"), read_statuses(client, ["slack"], ledger.now_ms(), brief=True)["slack"]
    assert whole.limits == {"9/min": 8}
    assert brief.limits == {}
    assert (brief.waiting, brief.released, brief.oldest_age_s) == (whole.waiting, whole.released, whole.oldest_age_s)


def test_every_damaged_key_is_named_once(ledger: Ledger, client: redis.Redis) -> None:
    keys = [*keys_with_cursor("slack"), *limit_keys("slack")]
    for key in keys:
        client.set(key, "x")
    assert sorted(ledger.status("slack").damaged) == sorted(keys)


@pytest.mark.parametrize("text", ["", "ajar", "OPEN", "\N{SNOWMAN}"])
def test_an_unknown_state_of_the_breaker_counts_as_closed(ledger: Ledger, client: redis.Redis, text: str) -> None:
    client.hset(keys_of("slack").control, mapping={"breaker": text, "breaker_until_ms": 5, "breaker_reason": "r"})
    status = ledger.status("slack")
    assert status.breaker is BreakerState.CLOSED
    assert (status.breaker_until_ms, status.breaker_reason) == (0, "")


@pytest.mark.parametrize("state", BreakerState)
def test_the_state_of_the_breaker_is_typed(ledger: Ledger, client: redis.Redis, state: BreakerState) -> None:
    client.hset(keys_of("slack").control, "breaker", state)
    assert ledger.status("slack").breaker is state
