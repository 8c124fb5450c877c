"""The process groups that scripts lead: none of them outlives its script's deadline, or its worker.

A script may well hand its work to the background and end; waiting for that would stall the integration, as it stalls
the stock Integrator. So its children may work on until the deadline, then they are stopped. A process that starts a
session of its own has left for good and is not looked for.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GRACE_S: Final = 2.0
"""From SIGTERM to SIGKILL."""

ABANDON_AFTER_S: Final = 60.0
"""After so long, what a SIGKILL did not end is left to the kernel."""

_CHUNK_BYTES: Final = 65_536
_CHUNKS_PER_POLL: Final = 16
_TICK_S: Final = 0.2
"""Looked at so often, a group's number cannot have been given to another: the kernel hands numbers out in a circle."""

_LAST_TICK_S: Final = 0.02


@dataclass(slots=True, eq=False)
class ProcessGroup:
    """What one script started: the group's number, once there is one and while it lives, and until when it may.

    `pipe` is the output that the group's members may still hold open after the script's own end.
    """

    until: float
    number: int | None = None
    pipe: int | None = None

    def poll(self, now: float) -> bool:
        """Do what is due; return whether anything is left."""
        over_s = now - self.until
        self._drain(is_over=over_s >= 0)
        if self.number is not None and (not _is_alive(self.number) or over_s >= ABANDON_AFTER_S):
            self.number = None
        if over_s >= 0:
            self.signal(signal.SIGTERM if over_s < GRACE_S else signal.SIGKILL)
        return self.number is not None or self.pipe is not None

    def signal(self, number: int) -> bool:
        """Send a signal; return whether there was anybody to get it."""
        return self.number is not None and _signal(self.number, number)

    def _drain(self, *, is_over: bool) -> None:
        """Throw away what was written: a child whose output nobody reads any more would die of it (SIGPIPE)."""
        if self.pipe is not None and (is_over or _has_closed(self.pipe)):
            os.close(self.pipe)
            self.pipe = None


class ProcessGroups:
    """Those of one worker. What scripts left behind is watched from one thread, which lives only while there is any."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[ProcessGroup] = set()
        self._orphans: list[ProcessGroup] = []
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    @contextmanager
    def track(self, until: float) -> Iterator[ProcessGroup]:
        """Give the group of a script that is about to be started, and see to it that it has ended by `until`.

        Whoever starts the script sets the number at once, and has reaped the script at the end of the block; its pipe
        is ours from there on. Once the worker ends, neither begin nor end of the block returns.
        """
        group = ProcessGroup(until)
        with self._lock:
            self._running.add(group)
        try:
            yield group
        finally:
            with self._lock:
                self._running.discard(group)
                self._keep(group)

    def retry_start(self) -> None:
        """See to it that the thread lives where it is needed, in case the system refused one; to be called often."""
        with self._lock:
            self._start_watcher()

    def wait(self, limit_s: float) -> None:
        """Wait for what scripts left behind, which may well be their work: until its deadline or the limit."""
        until, pause = self._clock() + limit_s, threading.Event()
        while any(group.number for group in self._orphans) and self._clock() < until:
            pause.wait(_LAST_TICK_S)

    def kill_all(self) -> None:
        """Stop whatever runs or was left behind, for the worker ends. Returns after about GRACE_S at most.

        The lock is never given back, so that no script starts any more and none that ends by this is settled: that was
        not its own failure, and the delivery is begun anew when its lease is over.
        """
        if not self._lock.acquire(timeout=2 * GRACE_S):
            return  # somebody else does it, or has done it
        until, pause = self._clock() + GRACE_S, threading.Event()
        left, asked = self._running | {group for group in self._orphans if group.number}, set[ProcessGroup]()
        while left and self._clock() < until:
            begun = {group for group in left if group.number is not None}
            left -= {group for group in begun if not group.signal(0 if group in asked else signal.SIGTERM)}
            asked |= begun
            pause.wait(_LAST_TICK_S if left else 0)
        for group in left:
            group.signal(signal.SIGKILL)

    def _keep(self, group: ProcessGroup) -> None:
        """Watch what is left of it. The lock is held."""
        if group.pipe is not None:
            os.set_blocking(group.pipe, False)
        if group.number is not None and not _is_alive(group.number):
            group.number = None
        if group.poll(self._clock()):
            self._orphans.append(group)
            self._start_watcher()

    def _start_watcher(self) -> None:
        """Start the thread; where the system refuses one, the next look tries again. The lock is held."""
        if self._orphans and self._watcher is None:
            watcher = threading.Thread(target=self._run, name="courier-leftovers", daemon=True)
            with suppress(RuntimeError):
                watcher.start()
                self._watcher = watcher

    def _run(self) -> None:
        pause = threading.Event()
        while self._poll_all():
            pause.wait(_TICK_S)

    def _poll_all(self) -> bool:
        """Look at every group once; return whether any is left."""
        with self._lock:
            self._orphans = [group for group in self._orphans if group.poll(self._clock())]
            if not self._orphans:
                self._watcher = None
            return bool(self._orphans)


def _has_closed(pipe: int) -> bool:
    """Read what a pipe holds, within reason, and say whether its other end is closed."""
    try:
        return any(not os.read(pipe, _CHUNK_BYTES) for _ in range(_CHUNKS_PER_POLL))
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
