"""When to retry a failed delivery: exponential backoff with full jitter.

Full jitter spreads the retries of many deliveries evenly (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.outcome import Reason, Retry

if TYPE_CHECKING:
    from random import Random

    from common.settings.schema import Policy

SCRIPT_FLOOR_S: Final = 30.0
"""A script that failed may have done its work nevertheless, so the next attempt is delayed (D18)."""

FLOOR_S: Final = {
    Reason.RATE_LIMITED: 30.0,
    Reason.TIMEOUT: 10.0,
    Reason.NOT_READY: 60.0,
    Reason.SMTP_4XX: 60.0,
} | dict.fromkeys((Reason.SCRIPT_FAILED, Reason.SCRIPT_TIMEOUT, Reason.SCRIPT_UNUSABLE), SCRIPT_FLOOR_S)
"""Minimum delay per reason. Full jitter may choose a second, which does not help a service that is overloaded or still
processing the request."""


def retry_delay_s(retry: Retry, attempts: int, policy: Policy, random: Random) -> float:
    """Return the delay in seconds after failed attempt number `attempts` (from 1).

    The delay is at least the one that the service requests (`after_s`) plus up to 10 % jitter, so that not all
    deliveries come back at once. A request for 0 s, perhaps a date that has passed by the worker's clock, is ignored.
    The exponential delay soon exceeds a request that is too short.
    """
    ceiling = min(policy.retry_delay_max_s, policy.retry_delay_s * 2.0 ** min(attempts - 1, 60))
    requested = (retry.after_s or 0.0) * random.uniform(1.0, 1.1)
    return max(requested or FLOOR_S.get(retry.reason, 0.0), random.uniform(0.0, ceiling))


def budget_spent(attempts: int, age_s: float, policy: Policy) -> bool:
    """Return whether a delivery with `attempts` failures, the first `age_s` seconds ago, gets no further attempt."""
    return age_s >= policy.retry_max_age_s or attempts >= policy.retry_max_attempts
