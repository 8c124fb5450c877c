"""Sends several deliveries of one integration in one call, if its service module can: `Batching`.

Each attempt builds its own call and waits for a response, as without batches; only the sending is shared. So records,
retries, history, metrics and log lines are those of single deliveries, and a batch of one is the call as it was built.

    first attempts   calls that are ready at the same time are joined, up to `batch` alerts and `max_batch_bytes`. At
                     most CALLS_AT_ONCE such calls are in progress, so that under load the next ones gather meanwhile;
                     without load an alert does not wait
    further attempts are sent alone: an alert that makes a whole batch fail costs the others one attempt
    a batch that is rejected, or fails with a response, is sent again in smaller ones within the same attempt, without
                     the alert that the target names or else in halves, until each alert has its own response. So one
                     alert that a target can't take neither dies with others nor opens the breaker by their number
    a batch without a response fails as a whole

All methods must be called on the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context, copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.errors import TransportError
from common.outcome import Reason, Rejected, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Transport
    from workers.integrations.base import Batching

    Batch = Sequence["Member"]

CALLS_AT_ONCE: Final = 4
"""Joined calls in progress. One would leave the target idle between them; many would keep batches small."""

REJECTIONS_OF_ONE: Final = frozenset({Reason.HTTP_4XX, Reason.TOO_LARGE, Reason.INVALID_ALERT})
"""Rejections that one alert of a batch can cause; the others are about the address."""

FAILURES_OF_ONE: Final = frozenset({Reason.HTTP_5XX, Reason.INVALID_RESPONSE})
"""Failures that one alert can cause, by an error in the target, but that the target mostly has by itself."""

MAX_FAILED_ALONE: Final = 2
"""When so many alerts in a row have failed alone, the target fails. A batch then costs it some requests more: for 100
alerts 9."""


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
        """Send a batch, and what fails because of one alert in smaller ones, one after the other."""
        parts, failed_alone = [batch], 0
        while parts:
            part = parts.pop()
            call = self._service.join([member.call for member in part])
            response: Any
            try:
                response = await self._transport.send(call)
            except TransportError as error:
                response = error
            outcome = self._outcome(part, call, response)
            if len(part) > 1 and _may_be_of_one(outcome, response):
                parts += reversed(self._smaller(part, outcome, response))
                continue
            failed_alone = failed_alone + 1 if isinstance(outcome, Retry) else 0
            if isinstance(response, TransportError) or failed_alone == MAX_FAILED_ALONE:
                # The target itself fails: each of the others would wait for the same.
                part, parts = [*part, *(member for one in reversed(parts) for member in one)], []
            for member in part:
                if not member.result.done():  # its attempt may have been cancelled
                    member.result.set_result(response)

    def _outcome(self, part: Batch, call: Any, response: Any) -> Outcome:
        if isinstance(response, TransportError):
            return self._service.interpret_failure(part[0].alert, call, response)
        return self._service.interpret(part[0].alert, call, response)

    def _smaller(self, part: Batch, outcome: Outcome, response: Any) -> Sequence[Batch]:
        """Return what to send instead of a batch that failed because of one alert, perhaps."""
        is_told = isinstance(outcome, Rejected) and not isinstance(response, TransportError)
        culprit = self._service.culprit(response) if is_told else None
        if culprit is not None and 0 <= culprit < len(part):
            return part[culprit : culprit + 1], [*part[:culprit], *part[culprit + 1 :]]
        return part[: len(part) // 2], part[len(part) // 2 :]


def _may_be_of_one(outcome: Outcome, response: Any) -> bool:
    """Return whether one alert may be the reason. A busy target, or none, says nothing of alerts."""
    if isinstance(outcome, Rejected):
        return outcome.reason in REJECTIONS_OF_ONE
    is_busy = getattr(response, "status", None) == HTTPStatus.SERVICE_UNAVAILABLE
    return isinstance(outcome, Retry) and outcome.reason in FAILURES_OF_ONE and outcome.after_s is None and not is_busy
