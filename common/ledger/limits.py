"""The rate limits and circuit breaker of an integration, as the scripts need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from common.ledger.enums import HealthSignal, SettleOutcome
from common.outcome import BREAKER_FAILURES, BREAKER_NEUTRAL, REFUSALS, Reason
from common.settings.rate_limit import RateLimit, Unit

if TYPE_CHECKING:
    from common.ledger.types import Settlement
    from common.settings.schema import Policy


MIN_TICK_S: Final = 0.05
"""Shortest interval between two releases of an integration, in seconds."""


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Opens after `failures` consecutive failures, or if `ratio` percent of at least `samples` failed; 0 disables."""

    failures: int = 0
    ratio: int = 0
    samples: int = 1
    window_s: float = 60.0
    pause_s: float = 10.0
    pause_max_s: float = 300.0

    @property
    def is_on(self) -> bool:
        """Whether `failures` or `ratio` can open it."""
        return bool(self.failures or self.ratio)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`target` is the digest of the credential. Integrations with the same target share limits and pauses.

    With `newest_first`, the newest deliveries go first when the daily limit is too short for all that are due.
    Deliveries that have failed let the others go first for `yields_s`.

    The default has no limits and no breaker, and shares nothing.
    """

    target: str = ""
    rate_limits: tuple[RateLimit, ...] = ()
    retry_after_max_s: float = 3600.0
    newest_first: bool = False
    yields_s: float = 600.0
    breaker: Breaker = Breaker()

    @classmethod
    def of(cls, policy: Policy, target: str) -> Self:
        """Return the limits and the breaker of a policy."""
        return cls(
            target=target,
            rate_limits=_without_redundant(policy.rate_limits),
            retry_after_max_s=policy.retry_after_max_s,
            newest_first=policy.newest_first,
            yields_s=policy.retry_delay_max_s,
            breaker=Breaker(
                failures=policy.breaker_failures,
                ratio=policy.breaker_ratio,
                samples=policy.breaker_samples,
                window_s=policy.breaker_window_s,
                pause_s=policy.breaker_pause_s,
                pause_max_s=max(policy.breaker_pause_s, policy.breaker_pause_max_s),
            ),
        )

    @property
    def tick_s(self) -> float:
        """Seconds between two releases: 1, or less if a small bucket would otherwise overflow and lose tokens."""
        buckets = [limit.burst / limit.count for limit in self.rate_limits if limit.unit is Unit.SECOND]
        return max(MIN_TICK_S, min([1.0, *buckets]))

    def release_args(self) -> list[str | int]:
        """Return the last arguments of the script `release`."""
        arguments: list[str | int] = [self.target, ",".join(map(str, self.rate_limits))]
        arguments += [int(self.breaker.is_on), _ms(self.breaker.pause_max_s), int(self.newest_first)]
        arguments.append(_ms(self.yields_s))
        for limit in self.rate_limits:
            arguments += [limit.unit, limit.count, limit.burst]
        return arguments

    def settle_args(self) -> list[int]:
        """Return the arguments of the script `settle` for pauses and the breaker."""
        breaker = self.breaker
        times = map(_ms, (breaker.window_s, breaker.pause_s, breaker.pause_max_s))
        return [_ms(self.retry_after_max_s), breaker.failures, breaker.ratio, breaker.samples, *times]


UNLIMITED = Limits()

_HEALTH_SIGNALS: Final = (
    (HealthSignal.FAILURE, BREAKER_FAILURES),
    (HealthSignal.REFUSAL, REFUSALS),
    (HealthSignal.NEUTRAL, BREAKER_NEUTRAL),
)


def health_signal(settlement: Settlement) -> HealthSignal:
    """Return what an outcome says about the health of its target."""
    if settlement.contacted and settlement.reason == Reason.TEST_FAILED:
        return HealthSignal.NONE
    if not settlement.contacted or settlement.outcome in {SettleOutcome.SKIPPED, SettleOutcome.RETURNED}:
        return HealthSignal.NOT_CONTACTED
    if settlement.outcome == SettleOutcome.DELIVERED:
        return HealthSignal.SUCCESS
    if settlement.final and settlement.reason == Reason.SCRIPT_FAILED:
        return HealthSignal.NEUTRAL
    return next((signal for signal, reasons in _HEALTH_SIGNALS if settlement.reason in reasons), HealthSignal.NONE)


def _without_redundant(limits: tuple[RateLimit, ...]) -> tuple[RateLimit, ...]:
    """Drop redundant limits: of two limits per minute, hour or day only the smaller one has an effect."""
    smallest: dict[tuple[Unit, int, int], RateLimit] = {}
    for limit in sorted(limits, key=lambda one: one.count):
        same = (limit.count, limit.burst) if limit.unit is Unit.SECOND else (0, 0)
        smallest.setdefault((limit.unit, *same), limit)
    return tuple(limit for limit in limits if limit in smallest.values())


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
