"""The threads that make a worker's deliveries: one per running call; the last to become idle is used first.

The standard library's pool wakes the thread that has been idle longest and never ends one. After one flood over 100
integrations, deliveries then rotated through hundreds of threads with cold stacks and connections, at a quarter more
CPU.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S: Final = 30.0
"""A thread ends after this many seconds without a call."""

_log = logging.getLogger("courier.worker")


class ThreadPool:
    """Runs each call immediately on its own thread. Calls must not raise.

    Threads start one at a time: the next one when the last one has reached its call. A busy process reaches that point
    later and so keeps few threads; a process that waits for slow targets gets one thread per call.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._idle: list[_Worker] = []
        self._waiting: deque[Callable[[], object]] = deque()
        self._starting = False
        self._refused = Condition(_log)
        self._lock = threading.Lock()

    def run(self, call: Callable[[], object]) -> None:
        """Run the call on an idle or new thread."""
        with self._lock:
            self._waiting.append(call)
            self._start_one()

    def retry_start(self) -> None:
        """Retry a refused thread start. Called once a second: without any live thread, nothing else would retry."""
        with self._lock:
            self._start_one()

    def _start_one(self) -> None:
        """Give the first waiting call to an idle or new thread. The lock is held.

        If the system refuses a new thread, the call waits for the next thread that becomes free.
        """
        if self._starting or not self._waiting:
            return
        if self._idle:
            self._idle.pop().assign(self._waiting.popleft())
        else:
            try:
                _Worker(self, self._waiting[0]).start()
            except RuntimeError as error:
                self._refused.set(f"cannot start another thread ({error}); deliveries wait; raise the limit of tasks")
                return
            self._refused.clear("threads can be started again")
            self._waiting.popleft()
        self._starting = True

    def started(self) -> None:
        """Start the next thread, now that the last one has reached its call."""
        with self._lock:
            self._starting = False
            self._start_one()

    def next_call(self, thread: _Worker) -> Callable[[], object] | None:
        """Return the next call for a free thread. None makes the thread idle, until `assign` wakes it."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(thread)
            return None

    def wait_idle(self, thread: _Worker) -> bool:
        """Block until the idle thread gets a call; return True if it gets none within `idle_s` and must end."""
        if thread.wakeup.acquire(timeout=self._idle_s):
            return False
        with self._lock:
            if thread in self._idle:
                self._idle.remove(thread)
                return True
        # Taken from the idle list just as its time ran out: `assign` is about to release the lock.
        return not thread.wakeup.acquire()


class _Worker(threading.Thread):
    """One thread. A daemon: callers wait for their results, and an idle thread must not delay the exit."""

    def __init__(self, threads: ThreadPool, call: Callable[[], object]) -> None:
        super().__init__(name="delivery", daemon=True)
        self._threads, self._call = threads, call
        # Used as a semaphore: the thread blocks on its second acquire until `assign` releases the lock.
        self.wakeup = threading.Lock()
        self.wakeup.acquire()

    def assign(self, call: Callable[[], object]) -> None:
        """Set the next call and wake the thread. Called once per idle period."""
        self._call = call
        self.wakeup.release()

    def run(self) -> None:
        self._threads.started()
        while True:
            self._call()
            del self._call  # frees the call and all that it references while the thread is idle
            if call := self._threads.next_call(self):
                self._call = call
            elif self._threads.wait_idle(self):
                return
            else:
                self._threads.started()
