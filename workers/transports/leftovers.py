"""Children that outlive their script: they may work on until the script's deadline, then they are stopped.

A script may well hand its work to the background and end; waiting for that would stall the integration, as it stalls
the stock Integrator. A process that starts a session of its own has left for good and is not looked for.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE_S: Final = 2.0
"""From SIGTERM to SIGKILL."""

GIVEN_UP_S: Final = 60.0
"""After so long, what a SIGKILL did not end is left to the kernel."""

_CHUNK_BYTES: Final = 65_536
_CHUNKS_A_LOOK: Final = 16
_TICK_S: Final = 0.2
"""Looked at so often, a group's number cannot have been given to another: the kernel hands numbers out in a circle."""


@dataclass(slots=True)
class _Group:
    """One script's leftovers: the number of its group while that lives, its pipe while somebody holds the other end."""

    number: int | None
    until: float
    pipe: int | None

    def look(self, now: float) -> bool:
        """Do what is due; return whether anything is left."""
        over_s = now - self.until
        self._drain(is_over=over_s >= 0)
        if self.number is not None and (not _is_alive(self.number) or over_s >= GIVEN_UP_S):
            self.number = None
        if self.number is not None and over_s >= 0:
            _signal(self.number, signal.SIGTERM if over_s < GRACE_S else signal.SIGKILL)
        return self.number is not None or self.pipe is not None

    def _drain(self, *, is_over: bool) -> None:
        """Throw away what was written: a child whose output nobody reads any more would die of it (SIGPIPE)."""
        if self.pipe is not None and (is_over or _has_closed(self.pipe)):
            os.close(self.pipe)
            self.pipe = None


class Leftovers:
    """Watches what scripts left behind from one thread, which lives only while there is something."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: list[_Group] = []
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def watch(self, number: int, until: float, pipe: int | None = None) -> None:
        """See to it that the process group has ended by `until` (by the clock), and read its `pipe` until then.

        The group's leader must have been reaped just now. The descriptor is ours from here on.
        """
        if pipe is not None:
            os.set_blocking(pipe, False)
        group = _Group(number if _is_alive(number) else None, until, pipe)
        if not group.look(self._clock()):
            return
        with self._lock:
            self._groups.append(group)
            self._start_watcher()

    def _start_watcher(self) -> None:
        """Start the thread; where the system refuses one, the next leftovers try again. The lock is held."""
        if self._watcher is None:
            watcher = threading.Thread(target=self._run, name="courier-leftovers", daemon=True)
            with suppress(RuntimeError):
                watcher.start()
                self._watcher = watcher

    def _run(self) -> None:
        pause = threading.Event()
        while self._look():
            pause.wait(_TICK_S)

    def _look(self) -> bool:
        """Look at every group once; return whether any is left."""
        with self._lock:
            self._groups = [group for group in self._groups if group.look(self._clock())]
            if not self._groups:
                self._watcher = None
            return bool(self._groups)


def _has_closed(pipe: int) -> bool:
    """Read what a pipe holds, within reason, and say whether its other end is closed."""
    try:
        return any(not os.read(pipe, _CHUNK_BYTES) for _ in range(_CHUNKS_A_LOOK))
    except BlockingIOError:
        return False


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
