"""A transport of the event loop for tests without a loop: its calls block, from any thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.calls import Transport
    from workers.delivery.event_loop import EventLoop


class Blocking:
    """Makes the calls of `transport` on `loop`, and waits for them."""

    def __init__(self, transport: Transport, loop: EventLoop) -> None:
        self.transport, self._loop = transport, loop

    def send(self, call: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(self.transport.send(call), self._loop.loop).result()
