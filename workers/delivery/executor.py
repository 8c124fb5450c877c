"""Limits how many deliveries of one integration run at once, on threads that all integrations of a worker share.

One pool per integration would add up to thousands of threads after floods over many integrations, and CPython 3.11
iterates over all live threads whenever it starts one.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.delivery.thread_pool import ThreadPool

T = TypeVar("T")


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
