"""Runs the deliveries of a worker: a `BoundedExecutor` per integration on one `ThreadPool` per worker.

One pool per integration would add up to thousands of threads after floods over many integrations, and CPython 3.11
iterates over all live threads whenever it starts one.

The standard library's pool wakes the thread that has been idle longest and never ends one. After one flood over 100
integrations, deliveries then rotated through hundreds of threads with cold stacks and connections, at a quarter more
CPU.

The states of a thread:

    starting   it has been started or woken for its next call; at most one thread of the pool is in this state
    running    it makes a call and then, without a pause, the calls that wait for a thread
    idle       no call waits; the last thread to become idle is woken first
    ended      it was idle for `idle_s`, or the process exited

Each executor has a lock of its own. Code that holds it may take the lock of the pool, never the other way round.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_S: Final = 30.0
"""A thread ends after this many seconds without a call."""

T = TypeVar("T")

_log = logging.getLogger("courier.worker")


class BoundedExecutor:
    """Runs at most `max_concurrent` calls at once; the others wait in order, each as a future that can be cancelled.

    A thread that takes a call requests the next thread if more calls wait. So no call waits for a slow one while
    fewer than `max_concurrent` run, and short calls do not start one thread each.
    """

    def __init__(self, threads: ThreadPool, max_concurrent: int) -> None:
        self._threads, self._max_concurrent = threads, max_concurrent
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running, self._starting = 0, False
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Queue the call and return its future."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, call))
            self._start_one_more()
        return future

    def _start_one_more(self) -> None:
        """Ensure that a thread is coming for the queue unless `max_concurrent` threads are busy. The lock is held."""
        if self._waiting and not self._starting and self._running < self._max_concurrent:
            self._starting = True
            self._running += 1
            self._threads.run(self._run)

    def _run(self) -> None:
        with self._lock:
            self._starting = False
        while item := self._next():
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 — the future raises it in the thread that asks for the result
                future.set_exception(error)
            else:
                future.set_result(result)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self._waiting:
                self._running -= 1
                return None
            item = self._waiting.popleft()
            self._start_one_more()
            return item


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

    def reached_call(self) -> None:
        """Start the next thread, now that the last one has reached its call."""
        with self._lock:
            self._starting = False
            self._start_one()

    def next_call(self, thread: _Worker) -> Callable[[], object] | None:
        """Return the call that waits longest. None makes the thread idle."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(thread)
            return None

    def wait_for_call(self, thread: _Worker) -> Callable[[], object] | None:
        """Block until the thread is assigned a call; return None if it was idle for `idle_s` and must end."""
        try:
            return thread.assigned.get(timeout=self._idle_s)
        except Empty:
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    return None
            # Taken from the idle list just as its time ran out: `assign` is about to put the call.
            return thread.assigned.get()


class _Worker(threading.Thread):
    """One thread. A daemon: callers wait for their results, and an idle thread must not delay the exit."""

    def __init__(self, pool: ThreadPool, call: Callable[[], object]) -> None:
        super().__init__(name="delivery", daemon=True)
        self._pool = pool
        self.assigned: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.assign(call)

    def assign(self, call: Callable[[], object]) -> None:
        """Set the first call of a new or idle thread, and wake it."""
        self.assigned.put(call)

    def run(self) -> None:
        while (call := self._pool.wait_for_call(self)) is not None:
            self._pool.reached_call()
            while call is not None:
                call()
                # None here also frees the call and all that it references while the thread is idle.
                call = self._pool.next_call(self)
