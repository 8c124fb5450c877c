"""Why an integration sends nothing or less than it could, as text for an operator."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from common.ledger import BreakerState
from ops.admin.terminal import age, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from common.ledger import Status
    from ops.admin.status_report import IntegrationReport


def hold_reason(status: Status, now_ms: int) -> str:
    """Return why the integration is held back at the ledger's time `now_ms`; empty if it is not."""
    return ", ".join(_hold_reasons(status, now_ms))


def describe_holds(held: Mapping[int, int], now_ms: int) -> str:
    """Return how many deliveries are held until when, from their number by the end of the hold; empty if none are.

    The times are those of the operator's time zone.
    """
    return ", ".join(
        f"{number:,} held until {datetime.fromtimestamp(ms / 1000).astimezone().isoformat(' ', 'minutes')}"
        f" ({age((ms - now_ms) / 1000)} left)"
        for ms, number in held.items()
    )


def with_holds(reason: str, held: Mapping[int, int], now_ms: int) -> str:
    """Return the result of `hold_reason` with that of `describe_holds`."""
    return ", ".join(filter(None, (reason, describe_holds(held, now_ms))))


def _hold_reasons(status: Status, now_ms: int) -> Iterator[str]:
    if status.damaged:
        yield f"damaged keys: {plain(', '.join(status.damaged))}"
    if status.paused_ms:
        reason = f": {plain(status.pause_reason)}" if status.pause_reason else ""
        left = f", {age((status.paused_until_ms - now_ms) / 1000)} left" if status.paused_until_ms else ""
        yield f"paused {_ago(now_ms - status.paused_ms)}{left}{reason}"
    if status.breaker is not BreakerState.CLOSED:
        yield _breaker(status, now_ms)
    if status.target_until_ms > now_ms:
        yield f"target requested a pause, {age((status.target_until_ms - now_ms) / 1000)} left"
    spent = [limit for limit, left in status.limits.items() if not left]
    if spent and status.waiting > sum(status.held.values()):
        yield f"rate limit {' and '.join(spent)} reached"


def _breaker(status: Status, now_ms: int) -> str:
    """Return the state and reason. It counts failed deliveries apart from untried ones, which may still succeed."""
    left_ms = status.breaker_until_ms - now_ms
    when = f"next try {f'in {age(left_ms / 1000)}' if left_ms > 0 else 'now'}"
    state = f"open, {when}" if status.breaker is BreakerState.OPEN else "half-open, probe in flight"
    reason = f"{status.breaker_reason}: " if status.breaker_reason else ""
    failed = f"{status.failed} failed"
    return f"breaker {state} ({reason}{failed}, {status.waiting - status.failed} not tried)"


def _ago(ms: int) -> str:
    return f"{age(ms / 1000)} ago"


def last_error(status: Status | IntegrationReport, now_ms: int) -> str:
    """Return the last error with its age, and a note if no delivery ever succeeded; empty if there was no error."""
    if not status.last_error:
        return ""
    totals = status.totals
    failed = totals.get("retried", 0) + totals.get("dead", 0)
    never = ", has never succeeded" if failed and not totals.get("delivered") else ""
    return f"{plain(status.last_error)} ({_ago(now_ms - (status.last_error_ms or 0))}{never})"
