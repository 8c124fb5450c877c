"""Runs `courier test` for visitors, in threads of its own: a target that does not answer delays nobody else."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import CourierError
from ops.admin.delivery_test.alert import sample_alert
from ops.admin.delivery_test.queued import QueuedTests
from ops.console.handler import PageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.admin.delivery_test.result import DeliveryTestResult
    from ops.admin.session import LedgerSession

TIMEOUT_S: Final = 20.0
"""Shorter than the time after which a reverse proxy gives up, usually 60 s."""

MAX_AT_ONCE: Final = 4
MAX_KEPT: Final = 100


class LastTest(NamedTuple):
    """The last test of an integration since the console was started: its end in ms, who sent it, and the result."""

    at_ms: int
    user: str
    result: DeliveryTestResult


class DeliveryTests:
    """One test per integration at a time, MAX_AT_ONCE in all. `session` connects, in a thread; `node` is in the alert.

    All methods but those of the threads are called in the event loop.
    """

    def __init__(self, session: Callable[[], LedgerSession], *, node: str) -> None:
        self._session, self._node = session, node
        self._threads = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="test")
        self._running: set[str] = set()
        self._last: dict[str, LastTest] = {}
        self._stop = threading.Event()

    async def run(self, integration_id: str, user: str) -> DeliveryTestResult:
        """Send a test alert and return the result, after at most TIMEOUT_S.

        Raises PageError if one is running or too many are, CourierError for `manager`, and what the ledger raises.
        """
        if integration_id in self._running:
            raise PageError(HTTPStatus.CONFLICT, f"a test of {integration_id} is running; wait for its end")
        if len(self._running) >= MAX_AT_ONCE:
            text = f"{MAX_AT_ONCE} tests are running; wait for the end of one"
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, text)
        self._running.add(integration_id)
        try:
            loop = asyncio.get_running_loop()
            at_ms, result = await loop.run_in_executor(self._threads, self._send, integration_id)
        finally:
            self._running.discard(integration_id)
        self._last.pop(integration_id, None)
        self._last[integration_id] = LastTest(at_ms, user, result)
        if len(self._last) > MAX_KEPT:
            del self._last[next(iter(self._last))]
        return result

    def last(self, integration_id: str) -> LastTest | None:
        """Return the last test, None if there was none."""
        return self._last.get(integration_id)

    def close(self) -> None:
        """Withdraw the tests that run, and wait for that."""
        self._stop.set()
        self._threads.shutdown()

    def _send(self, integration_id: str) -> tuple[int, DeliveryTestResult]:
        session = self._session()
        random = Random(os.urandom(16))  # noqa: S311 — makes ids unique, keeps no secret
        tests = QueuedTests(session, timeout_s=TIMEOUT_S, random=random, sleep=self._sleep)
        (result,) = tests.run([integration_id], sample_alert(datetime.now(UTC), node=self._node))
        return session.ledger.now_ms(), result

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise CourierError("the console stops; the test was withdrawn unless a worker has begun it")
