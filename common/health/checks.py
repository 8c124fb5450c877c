"""What makes a producer or a worker unhealthy. The process itself and `courier health` use the same checks."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from common.errors import Unhealthy
from common.permissions import explain

if TYPE_CHECKING:
    from pathlib import Path

    from common.reports.worker import WorkerReport

HEARTBEAT_TIMEOUT_S: Final = 30.0
"""Producer and workers report every second, but each call to Redis in between may take up to 15 s."""

IDLE_LIMIT_S: Final = 60.0
"""A reconnect after a restart of Redis takes seconds. A consumer that starts no task for this long is stuck."""


def check_heartbeat(who: str, seen_ms: int, now_ms: int) -> str:
    """Return the age of the last report of `who` as text. Raises Unhealthy if it is too old or there is none (0)."""
    if not seen_ms:
        raise Unhealthy(f"{who} has never reported; it is still starting, cannot reach Redis, or has a different name")
    age_s = (now_ms - seen_ms) / 1000
    if age_s > HEARTBEAT_TIMEOUT_S:
        raise Unhealthy(f"{who} last reported {age_s:.0f} s ago; see its log")
    return f"{who} last reported {age_s:.0f} s ago"


def check_progress(who: str, report: WorkerReport, now_ms: int) -> str:
    """Return the age of a worker's report as text. Raises Unhealthy if it is too old, or if the worker is stuck."""
    fresh = check_heartbeat(who, report.seen_ms, now_ms)
    if report.idle_since_ms and now_ms - report.idle_since_ms > IDLE_LIMIT_S * 1000:
        idle_s = (now_ms - report.idle_since_ms) / 1000
        raise Unhealthy(f"{who} has started no task for {idle_s:.0f} s although tasks are queued; restart it")
    return fresh


def check_readable(alerts: Path) -> None:
    """Raise Unhealthy if the alert log exists but cannot be read: its producer reports regularly but does no work."""
    for path in (alerts.parent, alerts):
        if _is_unreadable(path):
            raise Unhealthy(
                f"{path} cannot be read: {explain(PermissionError(errno.EACCES, 'Permission denied', path))}"
            )


def _is_unreadable(path: Path) -> bool:
    """Return whether a path exists but cannot be read. A missing one may still be created."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)
