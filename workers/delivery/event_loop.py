"""The event loop of a worker: asyncio in a thread of its own, which runs the attempts of all integrations.

Nothing on it may block. Calls to Redis block, so they run on a few threads beside it (`asyncio.to_thread`), scripts in
threads of their own (`workers/transports/threads.py`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

THREADS: Final = 4
"""Threads for calls to Redis. A settlement takes about a millisecond; if Redis hangs, all integrations wait for it."""

STALLED_CHECKS: Final = 20
"""Consecutive checks, one a second, that a loop must fail. Nothing on it takes longer than some milliseconds."""

_log = logging.getLogger("courier.worker")

_tasks: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references


def spawn(work: Coroutine[None, None, None]) -> None:
    """Start a coroutine on the running loop; nothing waits for it."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


class EventLoop:
    """The loop and its threads. `on_crash` is called if the loop ends without `stop`, or does not respond any more."""

    loop: asyncio.AbstractEventLoop

    def __init__(self, on_crash: Callable[[], object] = lambda: None) -> None:
        self._on_crash = on_crash
        self._thread = threading.Thread(target=self._run, name="deliveries", daemon=True)
        self._responded, self._failed_checks = True, 0

    def start(self) -> None:
        """Start the threads. Raises RuntimeError if the system refuses one."""
        pool = _started_pool()
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(pool)
        self._thread.start()

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call it on the loop. May be called from any thread."""
        self.loop.call_soon_threadsafe(call, *arguments)

    def check(self) -> None:
        """Check that the loop has responded since the last check. To be called once a second, from one thread.

        Checks are counted rather than seconds: a machine that was suspended is no reason to end the worker.
        """
        if self._responded:
            self._responded, self._failed_checks = False, 0
            self.call_soon(self._respond)
            return
        self._failed_checks += 1
        if self._failed_checks == STALLED_CHECKS:
            _log.error("event loop does not respond: internal error; exiting so that the supervisor restarts it")
            self._on_crash()

    def _respond(self) -> None:
        self._responded = True

    def stop(self) -> None:
        """Stop the loop. Nothing may run on it any more."""
        self.call_soon(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        except BaseException:  # noqa: BLE001 — logged; asyncio itself handles every Exception of a callback
            _log.exception("event loop crashed: internal error")
            self._on_crash()


def _started_pool() -> ThreadPoolExecutor:
    """Return a pool whose threads all run: later the system might refuse one, and the pool would lose the call."""
    pool, all_run = ThreadPoolExecutor(THREADS, "redis"), threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            pool.submit(all_run.wait)
        all_run.wait()
    except RuntimeError:
        all_run.abort()  # those that run would wait for the others for ever
        raise
    return pool
