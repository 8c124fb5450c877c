"""The process groups of scripts: no group outlives the deadline of its script, or the worker.

A script may start a background process and exit. Waiting for that process would block the integration, as it blocks the
stock Integrator. So the children of a script may run until its deadline, and are then stopped. A process that starts
its own session has left the group and is not tracked.
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
"""Seconds between SIGTERM and SIGKILL."""

ABANDON_AFTER_S: Final = 60.0
"""Seconds after the deadline at which a group that SIGKILL did not stop is no longer watched."""

_CHUNK_BYTES: Final = 65_536
_CHUNKS_PER_POLL: Final = 16
_TICK_S: Final = 0.2
"""A group is polled so often that its number cannot be reused in between: the kernel assigns numbers in a cycle."""

_LAST_TICK_S: Final = 0.02


@dataclass(slots=True, eq=False)
class ProcessGroup:
    """The processes that one script started, and `until`, their deadline (monotonic).

    `number` is the group's number while the group exists, else None. `pipe` is the read end of the output; members of
    the group may keep it open after the script's exit.
    """

    until: float
    number: int | None = None
    pipe: int | None = None

    def poll(self, now: float) -> bool:
        """Drain the pipe, and stop the group after its deadline. Return whether the group still needs polling."""
        over_s = now - self.until
        self._drain(is_over=over_s >= 0)
        if self.number is not None and (not _is_alive(self.number) or over_s >= ABANDON_AFTER_S):
            self.number = None
        if over_s >= 0:
            self.signal(signal.SIGTERM if over_s < GRACE_S else signal.SIGKILL)
        return self.number is not None or self.pipe is not None

    def signal(self, number: int) -> bool:
        """Send a signal. Return whether a process received it."""
        return self.number is not None and _signal(self.number, number)

    def _drain(self, *, is_over: bool) -> None:
        """Discard the output. The pipe stays open until the deadline: SIGPIPE would kill a child that writes."""
        if self.pipe is not None and (is_over or _has_closed(self.pipe)):
            os.close(self.pipe)
            self.pipe = None


class ProcessGroups:
    """The groups of one worker. One thread watches those whose script has exited; it runs only while there are any."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: set[ProcessGroup] = set()
        self._orphans: list[ProcessGroup] = []
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    @contextmanager
    def track(self, until: float) -> Iterator[ProcessGroup]:
        """Yield the group of a script that is about to start, and ensure that it has stopped by `until`.

        The caller sets the number immediately after the start, and reaps the script within the block. After the block
        the pipe belongs to this object. After `kill_all`, entering and leaving the block never return.
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
        """Start the watcher if it is needed and the system refused the thread before. To be called often."""
        with self._lock:
            self._start_watcher()

    def wait(self, limit_s: float) -> None:
        """Wait until the background processes of scripts have ended, for at most `limit_s`."""
        until, pause = self._clock() + limit_s, threading.Event()
        while any(group.number for group in self._orphans) and self._clock() < until:
            pause.wait(_LAST_TICK_S)

    def kill_all(self) -> None:
        """Stop all scripts and their background processes, as the worker ends. Returns after about GRACE_S at most.

        The lock is never released. So no further script starts, and no delivery whose script was stopped here is
        settled: the script did not fail, and the delivery starts again when its lease expires.
        """
        if not self._lock.acquire(timeout=2 * GRACE_S):
            return  # another thread is doing it, or has done it
        until, pause = self._clock() + GRACE_S, threading.Event()
        left, terminated = self._running | {group for group in self._orphans if group.number}, set[ProcessGroup]()
        while left and self._clock() < until:
            started = {group for group in left if group.number is not None}
            left -= {group for group in started if not group.signal(0 if group in terminated else signal.SIGTERM)}
            terminated |= started
            pause.wait(_LAST_TICK_S if left else 0)
        for group in left:
            group.signal(signal.SIGKILL)

    def _keep(self, group: ProcessGroup) -> None:
        """Watch the rest of a group. The caller holds the lock."""
        if group.pipe is not None:
            os.set_blocking(group.pipe, False)
        if group.number is not None and not _is_alive(group.number):
            group.number = None
        if group.poll(self._clock()):
            self._orphans.append(group)
            self._start_watcher()

    def _start_watcher(self) -> None:
        """Start the watcher. If the system refuses a thread, `retry_start` tries again. The caller holds the lock."""
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
        """Poll every group once. Return whether any is left."""
        with self._lock:
            self._orphans = [group for group in self._orphans if group.poll(self._clock())]
            if not self._orphans:
                self._watcher = None
            return bool(self._orphans)


def _has_closed(pipe: int) -> bool:
    """Read at most 1 MiB from a pipe, and say whether its write end is closed."""
    try:
        return any(not os.read(pipe, _CHUNK_BYTES) for _ in range(_CHUNKS_PER_POLL))
    except BlockingIOError:
        return False


def _is_alive(group: int) -> bool:
    """Return whether the group has members. First reaps those that this process has adopted (as process 1)."""
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
