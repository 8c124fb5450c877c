"""A target that fails on some alerts, with the packaged settings and a fake clock: the others are delivered on time."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from common.ledger import Header, Limits, Settlement, SettleOutcome
from common.outcome import Reason, Retry
from common.settings.rate_limit import parse_rate_limit
from tests.support.fakes import Clock, policy
from tests.support.ledger import Ledger
from workers.delivery.backoff import retry_delay_s

if TYPE_CHECKING:
    import redis

POLICY: Final = policy(rate_limits=(parse_rate_limit("1/s burst 3"),))
"""The packaged policy of Slack."""

LIMITS: Final = Limits.of(POLICY, "T")
ROUND_S: Final = 0.5


class Loop:
    """A worker and its target, which immediately accepts ids that begin with `good` and fails on all others."""

    def __init__(self, client: redis.Redis) -> None:
        self.clock, self.random = Clock(), Random(1)
        self.ledger = Ledger(client, clock=self.clock)
        self.began_s = self.clock()
        self.down, self.reason = False, Reason.HTTP_5XX
        self.written: dict[str, float] = {}
        self.arrived: dict[str, float] = {}
        self.attempts: list[tuple[float, str]] = []

    @property
    def now_s(self) -> float:
        return self.clock() - self.began_s

    def write(self, *ids: str) -> None:
        cursor = self.ledger.cursor("slack", "n")
        self.ledger.commit(
            "slack",
            node="n",
            expected=cursor,
            cursor=str(len(self.written) + 1),
            deliveries=[(one, b"{}") for one in ids],
            max_backlog=10**6,
            max_backlog_bytes=10**9,
        )
        self.written |= dict.fromkeys(ids, self.now_s)
        self.work()

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds / ROUND_S)):
            self.clock.now_s += ROUND_S
            self.work()

    def work(self) -> None:
        while tasks := self.ledger.release(
            "slack", max_in_flight=512, batch_max=64, lease_s=60, linger_s=0, limits=LIMITS
        ):
            ids = [one for task in tasks for one in task]
            for delivery in self.ledger.begin("slack", ids, token="w", lease_s=60, limits=LIMITS):
                self.attempts.append((self.now_s, delivery.id))
                self.ledger.settle("slack", [self.outcome(delivery.id, delivery.header)], token="w", limits=LIMITS)

    def outcome(self, one: str, header: Header) -> Settlement:
        if one.startswith("good") and not self.down:
            self.arrived[one] = self.now_s
            return Settlement(id=one, outcome=SettleOutcome.DELIVERED)
        failed = msgspec.structs.replace(header, attempts=header.attempts + 1)
        delay_ms = round(1000 * retry_delay_s(Retry(self.reason), failed.attempts, POLICY, self.random))
        return Settlement(id=one, outcome=SettleOutcome.RETRY, reason=self.reason, delay_ms=delay_ms, header=failed)

    def late(self, seconds: float) -> float:
        """Return the share of good deliveries that took longer than `seconds` or have not arrived."""
        good = {one: at for one, at in self.written.items() if one.startswith("good")}
        return sum(self.arrived.get(one, 10**9) - at > seconds for one, at in good.items()) / len(good)


@pytest.fixture
def loop(client: redis.Redis) -> Loop:
    return Loop(client)


@pytest.mark.parametrize(("interval_s", "poisoned"), [(1, 15), (5, 12)])
def test_few_failing_deliveries_do_not_delay_the_others(loop: Loop, poisoned: int, interval_s: int) -> None:
    loop.write(*(f"bad{n:02}" for n in range(poisoned)))
    for n in range(600 // interval_s):
        loop.write(f"good{n:03}")
        loop.pass_s(interval_s)
    loop.pass_s(30)
    assert loop.late(30) < 0.05


def test_failing_deliveries_one_by_one_do_not_delay_the_others(loop: Loop) -> None:
    for n in range(300):
        loop.write(f"good{n:03}", *([f"bad{n:03}"] if n % 20 == 0 else []))
        loop.pass_s(1)
    loop.pass_s(30)
    assert loop.late(30) < 0.05


def test_failing_deliveries_are_still_retried(loop: Loop) -> None:
    loop.write(*(f"bad{n:02}" for n in range(15)))
    for n in range(120):
        loop.write(f"good{n:03}")
        loop.pass_s(5)
    for bad in range(15):
        assert sum(one == f"bad{bad:02}" for _, one in loop.attempts) >= 4


@pytest.mark.parametrize("reason", [Reason.HTTP_5XX, Reason.UNAUTHORIZED, Reason.GONE])
def test_failing_target_is_contacted_rarely_and_gets_all_afterwards(loop: Loop, reason: Reason) -> None:
    loop.down, loop.reason = True, reason
    for n in range(600):
        loop.write(f"good{n:03}")
        loop.pass_s(1)
    assert len(loop.attempts) <= 3 * POLICY.breaker_failures
    assert loop.ledger.status("slack").dead == 0
    loop.down = False
    loop.pass_s(300 + 600 + 60)
    assert len(loop.arrived) == 600
