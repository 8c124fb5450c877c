"""How many deliveries of one integration run at once, on threads that all integrations of a worker share.

Threads of its own for each would add up to thousands where many integrations have had a flood, and CPython 3.11 walks
over all that live whenever it starts one.
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
    """Runs at most `width` calls at once; the others wait here in their order, each a future that can be cancelled.

    A thread that takes a call starts the next thread if more calls wait, so no call waits for a slow one as long as
    there is room, and calls that take no time do not get a thread each.
    """

    def __init__(self, threads: ThreadPool, max_concurrent: int) -> None:
        self._threads, self._max_concurrent = threads, max_concurrent
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running, self._starting = 0, False
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Have it called as soon as there is room."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, call))
            self._start_one_more()
        return future

    def _start_one_more(self) -> None:
        """Keep to it that whatever waits has a thread that comes for it, or all that there may be are at work."""
        if self._waiting and not self._starting and self._running < self._max_concurrent:
            self._starting = True
            self._running += 1
            self._threads.run(self._run)

    def _run(self) -> None:
        with self._lock:
            self._starting = False
        while one := self._next():
            future, call = one
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 — it belongs to whoever asks for the result
                future.set_exception(error)
            else:
                future.set_result(result)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._lock:
            if not self._waiting:
                self._running -= 1
                return None
            one = self._waiting.popleft()
            self._start_one_more()
            return one
