"""Makes each call of a blocking transport in a thread of its own: a script, or a datagram that waits for room.

A thread costs 0.1 ms to start, which is little beside a script. So there is no pool that one slow integration could
fill, and no idle thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol

from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RETRY_S: Final = 1.0
"""If the system refuses a thread, the next try is after this time: by then another call may have ended its own."""

_log = logging.getLogger("courier.worker")


class BlockingTransport(Protocol):
    """Makes calls of one kind, from any number of threads."""

    def send(self, call: Any) -> Any:
        """Make one call and return its response. Raises TransportError if no response arrives."""


class InThreads:
    """A transport whose calls do not block the event loop, although those of `transport` do. `sleep` takes seconds."""

    def __init__(
        self, transport: BlockingTransport, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self.transport, self._sleep = transport, sleep
        self._refused = Condition(_log)

    async def send(self, call: Any) -> Any:
        """Make the call in a new thread. A call waits while the system refuses to start one."""
        result: Future[Any] = Future()
        while not self._start(call, result):
            await self._sleep(RETRY_S)
        return await asyncio.wrap_future(result)

    def _start(self, call: Any, result: Future[Any]) -> bool:
        try:
            threading.Thread(target=self._run, args=(call, result), name="call", daemon=True).start()
        except RuntimeError as error:
            self._refused.set(f"cannot start another thread ({error}); deliveries wait; raise the limit of tasks")
            return False
        self._refused.clear("threads can be started again")
        return True

    def _run(self, call: Any, result: Future[Any]) -> None:
        try:
            response = self.transport.send(call)
        except BaseException as error:  # noqa: BLE001 — the coroutine raises it
            result.set_exception(error)
        else:
            result.set_result(response)
