"""Children that outlive their script: they may work on until the script's deadline, then they are stopped.

A script may well hand its work to the background and end; waiting for that would stall the integration, as it stalls
the stock Integrator. A process that starts a session of its own has left for good and is not looked for.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S: Final = 2.0
"""From SIGTERM to SIGKILL."""

GIVEN_UP_S: Final = 60.0
"""After so long, what a SIGKILL did not end is left to the kernel."""

_TICK_S: Final = 0.2
"""Looked at so often, a group's number cannot have been given to another: the kernel hands numbers out in a circle."""


class Leftovers:
    """Watches process groups from one thread, which lives only while there is one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[int, float] = {}
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def watch(self, group: int, until: float) -> None:
        """See to it that the group has ended by `until` (by the clock). Its leader must have been reaped just now."""
        if not _is_alive(group):
            return
        with self._lock:
            self._groups[group] = until
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._run, name="courier-leftovers", daemon=True)
                self._watcher.start()

    def _run(self) -> None:
        pause = threading.Event()
        while self._look():
            pause.wait(_TICK_S)

    def _look(self) -> bool:
        """Look at every group once; return whether any is left."""
        with self._lock:
            groups = list(self._groups.items())
        gone = [group for group, until in groups if not _is_alive(group) or self._stop(group, until)]
        with self._lock:
            for group in gone:
                del self._groups[group]
            if not self._groups:
                self._watcher = None
            return bool(self._groups)

    def _stop(self, group: int, until: float) -> bool:
        """Signal a group whose time is over; return whether it is given up."""
        over_s = self._clock() - until
        if over_s >= 0:
            _signal(group, signal.SIGTERM if over_s < GRACE_S else signal.SIGKILL)
        return over_s >= GIVEN_UP_S


def _is_alive(group: int) -> bool:
    """Say whether the group has members, after reaping those that became our own children (as process 1)."""
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return _signal(group, 0)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
