"""Exits a stalled worker, so that its supervisor restarts it.

After a reconnect, a Celery worker can keep running and answer pings but consume no more tasks (celery#8030, #8091,
#10302). Its own status is then no evidence, so the watchdog checks whether the worker begins tasks.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EX_TEMPFAIL: Final = 75
"""sysexits.h: temporary failure. The exit status of a stalled worker."""

STALLED_CHECKS: Final = 20
"""Consecutive checks, one a second, that must find the worker stalled. This is longer than any reconnect takes."""

_log = logging.getLogger("courier.worker")


class Watchdog:
    """Counts consecutive checks with queued tasks and a free slot but no task begun since the previous check.

    `begun` returns the number of tasks begun since the start, `free` whether a slot is free. `end` exits immediately;
    the leases of deliveries in flight expire.
    """

    def __init__(
        self,
        *,
        begun: Callable[[], int],
        free: Callable[[], bool],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._begun, self._free, self._end = begun, free, end
        self._stalled_checks = self._begun_before = 0
        self._armed = True

    def check(self, queued: int) -> None:
        """Check once; `queued` is the number of tasks in this worker's queues."""
        before, self._begun_before = self._begun_before, self._begun()
        stalled = self._begun_before == before and self._free() and queued > 0
        self._stalled_checks = self._stalled_checks + 1 if stalled else 0
        if self._armed and self._stalled_checks >= STALLED_CHECKS:
            _log.error(
                "no task consumed for %d s although tasks are queued; exiting so that the supervisor restarts it",
                STALLED_CHECKS,
            )
            self._end(EX_TEMPFAIL)

    def reset(self) -> None:
        """Reset the count: Redis is unavailable, and a reconnect takes time."""
        self._stalled_checks = 0

    def disarm(self) -> None:
        """Never exit from now on: the worker is stopping and therefore consumes no tasks."""
        self._armed = False
