"""Sends several deliveries of one integration in one call, if its service module can: `Batching`.

Each attempt builds its own call and waits for a response, as without batches; only the sending is shared. So records,
retries, history, metrics and log lines are those of single deliveries, and a batch of one is the call as it was built.

    first attempts   calls that are ready at the same time are joined, up to `batch` alerts and `max_batch_bytes`. At
                     most CALLS_AT_ONCE such calls are in progress, so that under load the next ones gather meanwhile;
                     without load an alert does not wait
    further attempts are sent alone: an alert that makes a whole batch fail costs the others one attempt
    a rejected batch is sent again in smaller ones within the same attempt, without the alert that the target names or
                     else in halves, until only what is rejected alone is rejected

All methods must be called on the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.errors import TransportError
from common.outcome import Reason, Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.alert.alert import Alert
    from workers.calls import Transport
    from workers.integrations.base import Batching

    Batch = Sequence["Member"]

CALLS_AT_ONCE: Final = 4
"""Joined calls in progress. One would leave the target idle between them; many would keep batches small."""

OF_ONE_ALERT: Final = frozenset({Reason.HTTP_4XX, Reason.TOO_LARGE, Reason.INVALID_ALERT})
"""Rejections that one alert of a batch can cause; the others are about the address."""


class Member(NamedTuple):
    """One delivery of a batch. `result` becomes the response, or the TransportError if there is none."""

    alert: Alert
    call: Any
    result: asyncio.Future[Any]
    context: Context


class Batches:
    """Joins the calls of one integration."""

    def __init__(self, service: Batching, transport: Transport) -> None:
        self._service, self._transport = service, transport
        self._waiting: deque[Member] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_due = False

    async def send(self, alert: Alert, call: Any) -> Any:
        """Send a call, perhaps with others, and return the response to the call that it was part of.

        Raises TransportError.
        """
        if alert.attempt > 1:
            return await self._transport.send(call)
        loop = asyncio.get_running_loop()
        member = Member(alert, call, loop.create_future(), copy_context())
        self._waiting.append(member)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._start)  # after the other attempts that start now
        result = await member.result
        if isinstance(result, Exception):
            raise result
        return result

    def _start(self) -> None:
        self._is_due = False
        while self._waiting and len(self._tasks) < CALLS_AT_ONCE:
            batch = self._next()
            task = asyncio.get_running_loop().create_task(self._deliver(batch), context=batch[0].context)
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    def _next(self) -> Batch:
        """Take the next batch from those that wait; it has at least one member."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].call.body)
        while self._waiting and len(batch) < self._service.batch:
            size += len(self._waiting[0].call.body)
            if size > self._service.max_batch_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _deliver(self, batch: Batch) -> None:
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001 — each attempt raises and logs it
            for member in batch:
                if not member.result.done():
                    member.result.set_result(error)

    async def _send(self, batch: Batch) -> None:
        """Send a batch, and what is rejected of it in smaller ones, one after the other."""
        parts = [batch]
        while parts:
            part = parts.pop()
            call = self._service.join([member.call for member in part])
            try:
                response = await self._transport.send(call)
            except TransportError as error:
                response = error
            if smaller := self._smaller(part, call, response):
                parts += reversed(smaller)
                continue
            if isinstance(response, TransportError):  # each further part would wait as long for a response
                part, parts = [*part, *(member for one in reversed(parts) for member in one)], []
            for member in part:
                if not member.result.done():  # its attempt may have been cancelled
                    member.result.set_result(response)

    def _smaller(self, part: Batch, call: Any, response: Any) -> Sequence[Batch]:
        """Return what to send instead of a batch that was rejected as a whole, nothing if the response is final."""
        if len(part) == 1:
            return ()
        if isinstance(response, TransportError):
            outcome, culprit = self._service.interpret_failure(part[0].alert, call, response), None
        else:
            outcome, culprit = self._service.interpret(part[0].alert, call, response), self._service.culprit(response)
        if not isinstance(outcome, Rejected) or outcome.reason not in OF_ONE_ALERT:
            return ()
        if culprit is not None and 0 <= culprit < len(part):
            rest = [*part[:culprit], *part[culprit + 1 :]]
            return part[culprit : culprit + 1], rest
        return part[: len(part) // 2], part[len(part) // 2 :]
