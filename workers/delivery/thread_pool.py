"""Threads for the deliveries of a worker: as many as there are calls at once; the last to become idle goes on first.

The standard library's pool wakes the one that has been idle for longest and ends none: after one flood over 100
integrations every delivery went through hundreds of cold stacks and connections, at a quarter more CPU.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S: Final = 30.0
"""A thread without a call for so long ends."""

_log = logging.getLogger("courier.worker")


class ThreadPool:
    """Runs calls, none of which may raise, each at once.

    Threads are started one after the other: the next when the last one has come to its call. A process that is busy
    comes to that later, so that it has few threads; one that waits for slow targets has as many as there are calls.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._idle: list[_Worker] = []
        self._wanted: deque[Callable[[], object]] = deque()
        self._starting = self._refused = False
        self._lock = threading.Lock()

    def run(self, call: Callable[[], object]) -> None:
        """Have it called by a thread of its own."""
        with self._lock:
            self._wanted.append(call)
            self._start_one()

    def retry_start(self) -> None:
        """Try again what the system refused, once a second: where no thread lives, none ever becomes free."""
        with self._lock:
            self._start_one()

    def _start_one(self) -> None:
        """Start a thread for what is wanted first; where the system refuses another one, the next that is free does it.

        The lock is held.
        """
        if self._starting or not self._wanted:
            return
        if self._idle:
            self._idle.pop().assign(self._wanted.popleft())
        else:
            try:
                _Worker(self, self._wanted[0]).start()
            except RuntimeError as error:
                self._log_once(error)
                return
            self._refused = False
            self._wanted.popleft()
        self._starting = True

    def _log_once(self, error: RuntimeError) -> None:
        if not self._refused:
            _log.warning("the system refuses another thread (%s): deliveries wait; look at its limit of tasks", error)
        self._refused = True

    def started(self) -> None:
        """Start the next thread, now that the last one is at its call."""
        with self._lock:
            self._starting = False
            self._start_one()

    def next_call(self, thread: _Worker) -> Callable[[], object] | None:
        """Return what a thread that is free shall do; None if it may rest, after which `go_on_with` wakes it."""
        with self._lock:
            if self._wanted:
                return self._wanted.popleft()
            self._idle.append(thread)
            return None

    def wait_idle(self, thread: _Worker) -> bool:
        """Let a thread rest; return whether it is over for it, since nothing came."""
        if thread.wakeup.acquire(timeout=self._idle_s):
            return False
        with self._lock:
            if thread in self._idle:
                self._idle.remove(thread)
                return True
        return not thread.wakeup.acquire()


class _Worker(threading.Thread):
    """A daemon: whoever wants the result of a call waits for it, and nobody for an idle thread."""

    def __init__(self, threads: ThreadPool, call: Callable[[], object]) -> None:
        super().__init__(name="delivery", daemon=True)
        self._threads, self._call = threads, call
        self.wakeup = threading.Lock()
        self.wakeup.acquire()

    def assign(self, call: Callable[[], object]) -> None:
        """Wake it, once."""
        self._call = call
        self.wakeup.release()

    def run(self) -> None:
        self._threads.started()
        while True:
            self._call()
            del self._call  # with all that it holds, while this thread rests
            if further := self._threads.next_call(self):
                self._call = further
            elif self._threads.wait_idle(self):
                return
            else:
                self._threads.started()
