"""When a delivery that failed is tried again: exponential backoff with full jitter.

Full jitter spreads the retries of many deliveries evenly (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.outcome import Reason, Retry

if TYPE_CHECKING:
    from random import Random

    from common.settings.schema import Policy

SCRIPT_FLOOR_S: Final = 30.0
"""A script that failed may have done its work all the same, so its next attempt is not soon (D18)."""

FLOOR_S: Final = {Reason.RATE_LIMITED: 30.0, Reason.TIMEOUT: 10.0, Reason.NOT_READY: 60.0} | dict.fromkeys(
    (Reason.SCRIPT_FAILED, Reason.SCRIPT_TIMEOUT, Reason.SCRIPT_UNUSABLE), SCRIPT_FLOOR_S
)
"""A service that is overloaded, or still at work on its answer, is not helped by a retry after a second, which full
jitter may choose."""


def retry_delay_s(retry: Retry, attempts: int, policy: Policy, random: Random) -> float:
    """Return how long to wait after failed attempt number `attempts` (from 1), in seconds.

    It is no less than what the service wishes (`after_s`), with a little jitter so that not all come back at once. A
    wish for nothing, perhaps a date that another clock has passed, is none; one for too little is soon outgrown.
    """
    ceiling = min(policy.retry_delay_max_s, policy.retry_delay_s * 2.0 ** min(attempts - 1, 60))
    wish = (retry.after_s or 0.0) * random.uniform(1.0, 1.1)
    return max(wish or FLOOR_S.get(retry.reason, 0.0), random.uniform(0.0, ceiling))


def budget_spent(attempts: int, age_s: float, policy: Policy) -> bool:
    """Say whether a delivery that failed `attempts` times since `age_s` ago gets no further attempt."""
    return age_s >= policy.retry_max_age_s or attempts >= policy.retry_max_attempts
