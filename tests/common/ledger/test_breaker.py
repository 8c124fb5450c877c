"""What blocks an integration: the operator's pause, the target's pause and the circuit breaker, with a fake clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from common.ledger import Breaker, Header, Limits, Settled, Settlement, SettleOutcome
from common.ledger.types import Reap
from common.outcome import BREAKER_FAILURES, BREAKER_NEUTRAL, REFUSALS, Reason
from common.settings.rate_limit import parse_rate_limit
from tests.support.fakes import Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

BREAKER = Breaker(failures=3, ratio=50, samples=10, window_s=60, pause_s=10, pause_max_s=35)
LIMITS = Limits(target="T", retry_after_max_s=3600, breaker=BREAKER)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class World:
    """A ledger with short methods for the steps of a delivery."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self.ledger, self.clock, self.limits = Ledger(client, clock=clock), clock, LIMITS

    def commit(self, count: int, integration: str = "slack") -> None:
        deliveries = [(f"{n:03}", b"{}") for n in range(count)]
        self.ledger.commit(
            integration,
            node="n",
            expected="",
            cursor="c",
            deliveries=deliveries,
            max_backlog=10**6,
            max_backlog_bytes=10**9,
        )

    def release(self, cap: int = 1000, integration: str = "slack") -> list[str]:
        tasks = self.ledger.release(
            integration, max_in_flight=cap, batch_max=64, lease_s=60, linger_s=0, limits=self.limits
        )
        return [one for task in tasks for one in task]

    def begin(self, ids: list[str], integration: str = "slack") -> list[str]:
        return [d.id for d in self.ledger.begin(integration, ids, token="w", lease_s=60, limits=self.limits)]

    def end(self, delivery_id: str, reason: str = "", *, pause_s: float = 0, outcome: str = "retry") -> Settled:
        if not reason:
            settlement = Settlement(id=delivery_id, outcome=SettleOutcome.DELIVERED)
        else:
            settlement = Settlement(
                id=delivery_id,
                outcome=SettleOutcome(outcome),
                reason=reason,
                delay_ms=1,
                pause_ms=round(pause_s * 1000),
                header=Header(committed_ms=1),
            )
        return self.ledger.settle("slack", [settlement], token="w", limits=self.limits)

    def attempt(self, reason: str = "", **more: object) -> Settled:
        """Release, begin and settle one delivery."""
        (delivery_id,) = self.release(cap=self.ledger.status("slack").released + 1)
        assert self.begin([delivery_id]) == [delivery_id]
        return self.end(delivery_id, reason, **more)  # type: ignore[arg-type]  # keyword arguments of `end`

    def until_open(self) -> Settled:
        return [self.attempt("http_5xx") for _ in range(BREAKER.failures)][-1]

    @property
    def breaker(self) -> str:
        return self.ledger.status("slack").breaker


@pytest.fixture
def world(client: redis.Redis, clock: Clock) -> World:
    return World(client, clock)


# The operator's pause


def test_paused_integration_sends_nothing_until_resumed(world: World) -> None:
    world.commit(5)
    ids = world.release(cap=3)
    assert world.begin(ids[:1]) == ids[:1]
    assert world.ledger.pause("slack", "maintenance of the chat")
    assert not world.ledger.pause("slack", "another reason")
    assert world.begin(ids[1:]) == []
    assert world.release() == []
    status = world.ledger.status("slack")
    assert (status.paused_ms, status.pause_reason) == (world.ledger.now_ms(), "another reason")
    assert (status.waiting, status.released, status.totals["put_back"]) == (4, 1, 2)
    assert world.end(ids[0]).count == 1
    assert world.ledger.resume("slack")
    assert not world.ledger.resume("slack")
    assert world.release() == ["001", "002", "003", "004"]


def test_pause_with_an_end_ends_by_itself(world: World) -> None:
    world.commit(3)
    ids = world.release(cap=1)
    until_ms = world.ledger.now_ms() + 60_000
    assert world.ledger.pause("slack", "moved", until_ms=until_ms)
    assert world.ledger.status("slack").paused_until_ms == until_ms
    world.clock.now_s += 59.9
    assert world.begin(ids) == world.release() == []
    world.clock.now_s += 0.1
    status = world.ledger.status("slack")
    assert (status.paused_ms, status.paused_until_ms, status.pause_reason) == (0, 0, "")
    assert world.release(cap=1) == ids
    assert world.begin(ids) == ids
    assert not world.end(ids[0]).is_blocked
    assert not world.ledger.resume("slack"), "it had ended"
    assert world.ledger.pause("slack"), "a new pause, without an end"
    world.clock.now_s += 10**6
    assert world.release() == []


def test_end_of_a_pause_can_be_changed_and_it_can_be_resumed_before(world: World) -> None:
    world.commit(1)
    now_ms = world.ledger.now_ms()
    world.ledger.pause("slack", until_ms=now_ms + 1000)
    assert not world.ledger.pause("slack", until_ms=now_ms + 5000)
    world.clock.now_s += 2
    assert world.release() == []
    assert world.ledger.resume("slack")
    assert world.release() == ["000"]


def test_malformed_end_of_a_pause_is_none(world: World, client: redis.Redis) -> None:
    world.commit(1)
    world.ledger.pause("slack", until_ms=world.ledger.now_ms() + 1000)
    client.hset("courier:{slack}:control", "paused_until_ms", "soon")
    world.clock.now_s += 10
    assert world.release() == []
    assert world.ledger.status("slack").paused_ms
    assert world.ledger.resume("slack")


def test_pause_uses_no_attempt(world: World) -> None:
    world.commit(1)
    ids = world.release()
    world.ledger.pause("slack")
    world.begin(ids)
    world.ledger.resume("slack")
    (delivery,) = world.ledger.begin("slack", world.release(), token="w", lease_s=60, limits=world.limits)
    assert (delivery.header.attempts, delivery.header.lost_attempts, delivery.header.history) == (0, 0, ())


def test_delivery_put_back_is_released_first(world: World) -> None:
    world.commit(2)
    ids = world.release(cap=1)
    world.clock.now_s += 5
    world.ledger.pause("slack")
    world.begin(ids)
    world.ledger.resume("slack")
    assert world.release(cap=1) == ids


def test_delivery_of_another_worker_is_not_put_back(world: World) -> None:
    world.commit(1)
    ids = world.begin(world.release())
    world.ledger.pause("slack")
    assert world.ledger.begin("slack", ids, token="other", lease_s=60, limits=world.limits) == []
    assert world.ledger.status("slack").released == 1
    assert world.end(ids[0]).count == 1


def test_begun_delivery_can_be_returned_without_an_attempt(world: World) -> None:
    world.commit(5)
    ids = world.begin(world.release(cap=2))
    world.ledger.pause("slack")
    assert world.end(ids[0]).is_blocked
    returned = [Settlement(id=ids[1], outcome=SettleOutcome.RETURNED)]
    assert world.ledger.settle("slack", returned, token="another", limits=LIMITS).count == 0
    assert world.ledger.settle("slack", returned, token="w", limits=LIMITS).count == 1
    status = world.ledger.status("slack")
    assert (status.waiting, status.released, status.totals["put_back"]) == (4, 0, 1)
    world.ledger.resume("slack")
    assert world.release(cap=1) == [ids[1]]
    (delivery,) = world.ledger.begin("slack", [ids[1]], token="w", lease_s=60, limits=LIMITS)
    assert (delivery.header.attempts, delivery.header.history) == (0, ())
    assert not world.end(ids[1]).is_blocked


# The pause that the target requests (Retry-After)


def test_retry_after_pauses_all_integrations_with_the_credential(world: World) -> None:
    for integration in ("slack", "slack-2", "other"):
        world.commit(3, integration)
    late = world.release(cap=1, integration="slack-2")
    settled = world.attempt("rate_limited", pause_s=30)
    until_ms = world.ledger.now_ms() + 30_000
    assert settled == Settled(1, None, 0, until_ms, is_blocked=True, is_waiting=True)
    assert world.release() == world.release(integration="slack-2") == []
    assert world.begin(late, "slack-2") == []
    assert world.ledger.status("slack").target_until_ms == until_ms
    other = msgspec.structs.replace(LIMITS, target="another")
    assert world.ledger.release("other", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0, limits=other)
    world.clock.now_s += 29.999
    assert world.release() == []
    world.clock.now_s += 0.001
    assert world.ledger.status("slack").target_until_ms == 0
    assert len(world.release()) == 3
    assert len(world.release(integration="slack-2")) == 3


def test_longer_retry_after_wins_and_only_the_first_is_reported(world: World) -> None:
    world.commit(3)
    ids = world.begin(world.release())
    assert world.end(ids[0], "rate_limited", pause_s=30).paused_until_ms
    assert not world.end(ids[1], "http_5xx", pause_s=50).paused_until_ms
    assert not world.end(ids[2], "rate_limited", pause_s=10, outcome="dead").paused_until_ms
    status = world.ledger.status("slack")
    assert status.target_until_ms == world.ledger.now_ms() + 50_000
    assert status.totals["target_paused"] == 1


def test_retry_after_is_limited_by_its_maximum(world: World) -> None:
    world.commit(1)
    world.attempt("http_5xx", pause_s=86_400)
    assert world.ledger.status("slack").target_until_ms == world.ledger.now_ms() + 3_600_000


@pytest.mark.parametrize("blocked_by", ["target", "breaker"])
def test_clock_set_back_extends_no_block_beyond_its_maximum(world: World, blocked_by: str) -> None:
    world.commit(5)
    if blocked_by == "target":
        world.attempt("rate_limited", pause_s=60)
    else:
        world.until_open()
    world.clock.now_s -= 10 * 86_400
    world.ledger.commit(
        "slack", node="m", expected="", cursor="c", deliveries=[("x", b"{}")], max_backlog=99, max_backlog_bytes=10**9
    )
    assert world.release() == []
    world.clock.now_s += 60 if blocked_by == "target" else 35
    assert "x" in world.release() or blocked_by == "breaker"
    assert world.ledger.status("slack").released > 0


def test_other_integration_with_the_credential_cuts_no_pause(world: World) -> None:
    world.commit(2)
    world.commit(2, "other")
    world.attempt("rate_limited", pause_s=600)
    until_ms = world.ledger.status("slack").target_until_ms
    world.limits = msgspec.structs.replace(LIMITS, retry_after_max_s=1)
    assert world.release(integration="other") == []
    assert world.ledger.status("slack").target_until_ms == until_ms


def test_pause_written_by_the_previous_version_is_kept(world: World, client: redis.Redis) -> None:
    world.commit(2)
    world.attempt("rate_limited", pause_s=600)
    assert client.hdel("courier:limits:{T}", "pause_ms") == 1
    assert world.release() == []


# The breaker


def test_consecutive_failures_open_the_breaker(world: World) -> None:
    world.commit(10)
    assert [world.attempt(reason).breaker for reason in ("http_5xx", "connection_failed", "", "timeout", "tls")] == [
        None
    ] * 5
    assert world.breaker == "closed"
    settled = world.attempt("invalid_response")
    assert (settled.breaker, settled.until_ms) == ("open", world.ledger.now_ms() + 10_000)
    status = world.ledger.status("slack")
    assert (status.breaker, status.breaker_until_ms) == ("open", settled.until_ms)
    assert status.totals["breaker_opened"] == 1
    world.clock.now_s += 9.999
    assert world.release() == []


def test_half_open_breaker_sends_a_probe_whose_success_closes_it(world: World) -> None:
    world.commit(10)
    world.until_open()
    world.clock.now_s += 10
    (probe,) = world.release()
    assert world.breaker == "half-open"
    world.clock.now_s += 30
    assert world.release() == []
    assert world.begin([probe]) == [probe]
    assert world.release() == []
    assert world.end(probe).breaker == "closed"
    assert world.ledger.status("slack").totals["breaker_closed"] == 1
    assert len(world.release()) == 9


def test_failed_probe_doubles_the_pause_up_to_its_maximum(world: World) -> None:
    world.commit(10)
    settled, pauses = world.until_open(), []
    for _ in range(4):
        pauses.append(settled.until_ms - world.ledger.now_ms())
        world.clock.now_s += pauses[-1] / 1000
        settled = world.attempt("connection_failed")
        assert settled.breaker == "open"
    assert pauses == [10_000, 20_000, 35_000, 35_000]
    world.clock.now_s += 35
    world.attempt()
    assert world.until_open().until_ms == world.ledger.now_ms() + 10_000


@pytest.mark.parametrize("reason", sorted(BREAKER_NEUTRAL))
def test_probe_with_a_neutral_response_closes_the_breaker(world: World, reason: Reason) -> None:
    world.commit(5)
    world.until_open()
    world.clock.now_s += 10
    assert world.attempt(reason, outcome="dead").breaker == "closed"


def test_probe_that_did_not_contact_the_target_is_repeated(world: World) -> None:
    world.commit(5)
    world.until_open()
    world.clock.now_s += 10
    (probe,) = world.begin(world.release())
    assert world.ledger.settle(
        "slack", [Settlement(id=probe, outcome=SettleOutcome.SKIPPED, reason="no_file_hash")], token="w", limits=LIMITS
    ) == Settled(1, is_blocked=True, is_waiting=True)
    assert world.breaker == "half-open"
    assert world.attempt().breaker == "closed"


def test_lost_probe_is_repeated(world: World) -> None:
    world.commit(5)
    world.until_open()
    world.clock.now_s += 10
    world.begin(world.release())
    world.clock.now_s += 60
    assert world.ledger.reap("slack", queued=(), lease_s=60).lost == 1
    assert world.attempt().breaker == "closed"


def test_deliveries_in_flight_do_not_count_after_it_opened(world: World) -> None:
    world.commit(20)
    ids = world.release(cap=10)
    begun = world.begin(ids[:6])
    assert [world.end(one, "http_5xx").breaker for one in begun[:3]] == [None, None, "open"]
    assert world.begin(ids[6:]) == []
    assert world.end(begun[3], "http_5xx").breaker is None
    assert world.end(begun[4]).breaker is None
    assert world.ledger.status("slack").totals["put_back"] == 4
    world.clock.now_s += 10
    (probe,) = world.release()
    assert world.end(begun[5], "http_5xx").breaker is None
    assert world.begin([probe]) == [probe]
    assert world.end(probe).breaker == "closed"


@pytest.mark.parametrize("reason", sorted(set(Reason) - BREAKER_FAILURES - REFUSALS))
def test_neutral_reasons_never_open_the_breaker(world: World, reason: Reason) -> None:
    world.commit(11)  # one more than the samples of BREAKER
    assert {world.attempt(reason, outcome="dead").breaker for _ in range(11)} == {None}


def test_high_failure_ratio_opens_the_breaker(world: World) -> None:
    world.commit(20)
    outcomes = ["", "http_5xx", "", "http_5xx", "", "http_5xx", "", "http_5xx", ""]
    assert {world.attempt(reason).breaker for reason in outcomes} == {None}
    assert world.attempt("http_5xx").breaker == "open"


def test_failure_ratio_ignores_old_samples(world: World) -> None:
    world.commit(30)
    for reason in ["", "http_5xx"] * 4:
        world.attempt(reason)
    world.clock.now_s += 120
    assert {world.attempt(reason).breaker for reason in ["", "http_5xx"] * 4} == {None}
    world.clock.now_s += 60
    assert [world.attempt(reason).breaker for reason in ["", "http_5xx"]] == [None, "open"]


def test_disabled_breaker_blocks_nothing(world: World) -> None:
    world.commit(5)
    world.until_open()
    world.limits = msgspec.structs.replace(LIMITS, breaker=Breaker())
    assert len(world.release()) == 2
    assert world.breaker == "closed"
    ids = [f"{n:03}" for n in range(3, 5)]
    assert [world.end(one, "http_5xx").breaker for one in world.begin(ids)] == [None, None]


def test_probe_needs_a_rate_limit_token(world: World) -> None:
    world.commit(9)
    world.limits = msgspec.structs.replace(LIMITS, rate_limits=(parse_rate_limit("3/min"),))
    world.until_open()
    world.clock.now_s += 10
    assert world.release() == []
    world.clock.now_s += 50
    assert len(world.release()) == 1


# Single deliveries that the target cannot accept, and a target that accepts none


def test_probe_is_the_newest_delivery_that_has_not_failed(world: World) -> None:
    world.commit(3)
    world.until_open()
    world.clock.now_s += 5
    world.ledger.commit(
        "slack",
        node="m",
        expected="",
        cursor="c",
        deliveries=[("good", b"{}")],
        max_backlog=99,
        max_backlog_bytes=10**9,
    )
    world.clock.now_s += 5
    status = world.ledger.status("slack")
    assert (status.waiting, status.failed, status.breaker_reason) == (4, 3, "http_5xx")
    assert world.release() == ["good"]


def test_probe_is_the_newest_if_all_have_failed(world: World) -> None:
    world.commit(3)
    for _ in range(3):
        world.attempt("http_5xx")
        world.clock.now_s += 1
    world.clock.now_s += 10
    assert world.release() == ["002"]


def test_only_the_first_failure_of_a_delivery_counts(world: World) -> None:
    world.commit(2)
    for _ in range(20):
        for one in world.begin(world.release()):
            header = Header(committed_ms=1, attempts=1)
            failed = Settlement(id=one, outcome=SettleOutcome.RETRY, reason="http_5xx", delay_ms=1, header=header)
            assert world.ledger.settle("slack", [failed], token="w", limits=LIMITS).breaker is None
        world.clock.now_s += 1


def test_failed_deliveries_let_others_go_first_for_a_while(world: World) -> None:
    world.limits = msgspec.structs.replace(LIMITS, yields_s=60)
    world.commit(2)
    world.attempt("http_5xx")
    for n, late_s in enumerate((30, 29.5, 1)):
        world.clock.now_s += late_s
        world.ledger.commit(
            "slack",
            node=f"m{n}",
            expected="",
            cursor="c",
            deliveries=[(f"new{n}", b"{}")],
            max_backlog=99,
            max_backlog_bytes=10**9,
        )
    assert world.release() == ["001", "new0", "new1", "000", "new2"]


@pytest.mark.parametrize("reason", sorted(REFUSALS))
def test_only_consecutive_refusals_open_the_breaker(world: World, reason: Reason) -> None:
    world.commit(21)
    for _ in range(7):  # twice the samples of BREAKER
        assert world.attempt(reason).breaker is None
        assert world.attempt(reason, outcome="dead").breaker is None
        assert world.attempt().breaker is None
    world.ledger.commit(
        "slack",
        node="m",
        expected="",
        cursor="c",
        deliveries=[(f"x{n}", b"{}") for n in range(5)],
        max_backlog=99,
        max_backlog_bytes=10**9,
    )
    assert [world.attempt(reason).breaker for _ in range(3)] == [None, None, "open"]
    assert world.ledger.status("slack").breaker_reason == reason
    world.clock.now_s += 10
    assert world.attempt(reason).breaker == "open"
    assert world.ledger.status("slack").breaker_until_ms == world.ledger.now_ms() + 20_000


def test_final_exit_status_does_not_open_the_breaker(world: World) -> None:
    world.commit(10)
    for one in world.begin(world.release()):
        final = Settlement(
            id=one,
            outcome=SettleOutcome.DEAD,
            reason="script_failed",
            header=Header(committed_ms=1, attempts=1),
            final=True,
        )
        assert world.ledger.settle("slack", [final], token="w", limits=LIMITS).breaker is None


def test_changed_credential_closes_the_breaker(world: World) -> None:
    world.commit(5)
    assert [world.attempt("unauthorized").breaker for _ in range(3)] == [None, None, "open"]
    assert world.release() == []
    world.limits = msgspec.structs.replace(LIMITS, target="new")
    world.clock.now_s += 1
    assert sorted(world.release()) == ["000", "001", "002", "003", "004"]
    status = world.ledger.status("slack")
    assert (status.breaker, status.breaker_reason, status.totals["breaker_closed"]) == ("closed", "", 1)


def test_begin_returns_the_last_success_of_the_target(world: World) -> None:
    world.commit(3)
    (first,) = world.ledger.begin("slack", world.release(cap=1), token="w", lease_s=60, limits=LIMITS)
    assert first.last_success_ms == 0
    world.end(first.id)
    taken_ms = world.ledger.now_ms()
    world.clock.now_s += 9
    (later,) = world.ledger.begin("slack", world.release(cap=1), token="w", lease_s=60, limits=LIMITS)
    assert later.last_success_ms == taken_ms


def test_lost_attempts_count_towards_max_attempts(world: World) -> None:
    world.commit(1)
    how = Reap(queued=(), lease_s=60, max_attempts=3)
    for lost in range(3):
        world.begin(world.release())
        world.clock.now_s += 61
        assert world.ledger.reap_all({"slack": how})["slack"].dead == (lost == 2)
    assert world.ledger.status("slack").totals["dead:worker_lost"] == 1
