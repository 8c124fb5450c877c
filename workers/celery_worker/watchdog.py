"""Ends a worker that has gone deaf, so that its supervisor starts it again.

After a reconnect a Celery worker can live on, answer pings and take no task any more (celery#8030, #8091, #10302). What
it says of itself proves nothing then; what it does is the only sign of life that counts.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EX_TEMPFAIL: Final = 75
"""sysexits.h: try again later. The exit status of a worker that was ended for being deaf."""

STALLED_CHECKS: Final = 20
"""So many looks in a row, one a second, must find a worker deaf: longer than it ever takes to connect again."""

_log = logging.getLogger("courier.worker")


class Watchdog:
    """Counts the looks at which there was work for a free slot and nothing had been begun since the look before.

    `queued` returns how many tasks lie in the queues of this worker, `begun` how many it ever began, `free` whether it
    could take one more. `end` ends the process at once: what it still holds is left to its leases.
    """

    def __init__(
        self,
        *,
        queued: Callable[[], int],
        begun: Callable[[], int],
        free: Callable[[], bool],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._queued, self._begun, self._free, self._end = queued, begun, free, end
        self._stalled_checks = self._begun_before = 0
        self._armed = True

    def check(self) -> None:
        """Look once. Raises LedgerUnavailable or LedgerMisconfigured if the queues cannot be seen."""
        before, self._begun_before = self._begun_before, self._begun()
        deaf = self._begun_before == before and self._free() and self._queued() > 0
        self._stalled_checks = self._stalled_checks + 1 if deaf else 0
        if self._armed and self._stalled_checks >= STALLED_CHECKS:
            _log.error("deaf: for %d s there is work and nothing is begun; ending, to be started again", STALLED_CHECKS)
            self._end(EX_TEMPFAIL)

    def reset(self) -> None:
        """Begin to count anew: Redis is away, and whoever reconnects needs time."""
        self._stalled_checks = 0

    def disarm(self) -> None:
        """Do nothing from now on: the worker was told to stop, and takes no task for good reason."""
        self._armed = False
