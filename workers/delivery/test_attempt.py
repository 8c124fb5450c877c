"""The one attempt at a delivery of `courier test`.

It takes the path of every attempt (`pipeline.py`), with these differences: the look-up cache is not used, every call is
recorded for the report, a failure is settled as skipped and no event goes to the manager, where a rule would take the
verdict about the test file for a finding.
"""

from __future__ import annotations

import logging
import time
from asyncio import to_thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.delivery_test import MAX_WAIT_S
from common.errors import LedgerError, TransportError
from common.ledger import Settlement, SettleOutcome
from common.outcome import Reason
from workers.calls import AppriseCall, Mail, Request, ScriptCall, SyslogFrames
from workers.delivery.response import ResponseRecorder
from workers.delivery.test_report import (
    MAX_CALLS,
    MAX_TEXT_CHARS,
    CallReport,
    DeliveryTestReport,
    bounded,
    cut,
)
from workers.redaction import Redactor
from workers.rendering import RenderedCall, render_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.integration import Integration
    from common.ledger import Delivery
    from common.settings.schema import Policy
    from workers.calls import Transport
    from workers.delivery.pipeline import Pipeline
    from workers.delivery.served import ServedIntegration

FAILED: Final = "failed"
"""The outcome in a report of everything that an ordinary delivery would be retried or die for."""

_log = logging.getLogger("courier.worker")


class RecordedCall(NamedTuple):
    """A call, the response or the error that it led to, and its duration in seconds."""

    call: Any
    response: Any
    duration_s: float


class _Recording:
    """A transport that records every call of another one."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport, self._clock = transport, clock
        self.calls: list[RecordedCall] = []

    async def send(self, call: Any) -> Any:
        """Make the call and record it, whether or not it fails."""
        began_s, response = self._clock(), None
        try:
            response = await self._transport.send(call)
        except TransportError as error:
            response = error
            raise
        finally:
            self.calls.append(RecordedCall(call, response, self._clock() - began_s))
        return response


class TestAttempts:
    """Makes the attempts at test deliveries in a worker. `publish` hands a report to the command; it blocks."""

    __test__ = False  # pytest collects classes of this name

    def __init__(
        self, worker: str = "", publish: Callable[[str, str, DeliveryTestReport], None] = lambda *_: None
    ) -> None:
        self._worker, self._publish = worker, publish

    async def attempt(self, served: ServedIntegration, delivery: Delivery) -> Settlement:
        """Make the attempt, publish its report and return its settlement."""
        if why := _not_sendable(delivery):
            settlement = Settlement(
                id=delivery.id, outcome=SettleOutcome.SKIPPED, reason=Reason.TEST_FAILED, contacted=False
            )
            report = DeliveryTestReport(outcome=FAILED, reason=Reason.TEST_FAILED, detail=why)
        else:
            settlement, report = await attempt_once(served.pipeline, served.integration, served.policy, delivery)
        report = msgspec.structs.replace(
            report, worker=self._worker, committed_ms=delivery.header.committed_ms, begun_ms=delivery.begun_ms
        )
        try:
            await to_thread(self._publish, served.integration.id, delivery.id, report)
        except LedgerError as error:
            _log.warning("report of a test not published: %s", error, extra={"integration": served.integration.id})
        return settlement


async def attempt_once(
    pipeline: Pipeline,
    integration: Integration,
    policy: Policy,
    delivery: Delivery,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Settlement, DeliveryTestReport]:
    """Make one attempt; return how to settle it, and its report without worker and times of the ledger."""
    recordings: list[_Recording] = []

    def recording(transport: Transport) -> Transport:
        recordings.append(_Recording(transport, clock))
        return recordings[-1]

    began_s = clock()
    result = await pipeline.for_test(recording).attempt(delivery)
    attempt_ms = round(1000 * (clock() - began_s))
    calls = [call for one in recordings for call in one.calls]
    outcome, reason, detail = _outcome(result)
    redactor, responses = Redactor.of(integration, policy), ResponseRecorder.of(integration, policy)
    report = DeliveryTestReport(
        outcome=outcome,
        reason=reason,
        detail=cut(redactor.text(detail)),
        duration_ms=round(1000 * sum(call.duration_s for call in calls)),
        attempt_ms=attempt_ms,
        calls=tuple(_call_report(call, redactor, responses) for call in calls[:MAX_CALLS]),
    )
    return _settlement(result), report


def _not_sendable(delivery: Delivery) -> str:
    """Return why a test is not sent, '' if it is: it has been attempted before, or nobody waits for it any more."""
    if delivery.header.attempts:
        return "the worker that sent it ended before it could settle it; look at the target, and test again"
    if delivery.begun_ms - delivery.header.committed_ms > 1000 * MAX_WAIT_S:
        return f"it waited for more than {MAX_WAIT_S:g} s, so it was not sent"
    return ""


def _settlement(result: Settlement) -> Settlement:
    """Return the settlement of a test: a failure ends it, and a pause that the target requested is kept."""
    if result.failed:
        return Settlement(
            id=result.id,
            outcome=SettleOutcome.SKIPPED,
            reason=Reason.TEST_FAILED,
            pause_ms=result.pause_ms,
            contacted=result.contacted,
            status=result.status,
        )
    return msgspec.structs.replace(result, events=())


def _outcome(result: Settlement) -> tuple[str, str, str]:
    """Return the outcome, the reason and its description."""
    if result.failed and result.header:
        last = result.header.history[-1]
        return FAILED, last.reason, last.detail
    return result.outcome.value, result.reason, ""


def _call_report(recorded: RecordedCall, redactor: Redactor, responses: ResponseRecorder) -> CallReport:
    rendered = RenderedCall()
    if isinstance(recorded.call, Request | Mail | ScriptCall | SyslogFrames | AppriseCall):
        try:
            rendered = bounded(render_call(recorded.call, redactor))
        except TransportError:
            rendered = RenderedCall()  # an invalid URL or header: the outcome says so
    excerpt = responses.excerpt(0, recorded.response, MAX_TEXT_CHARS)
    failure = recorded.response.detail if isinstance(recorded.response, TransportError) else ""
    return CallReport(
        request=rendered,
        status=excerpt.status if excerpt else None,
        response=cut(excerpt.text) if excerpt else "",
        is_cut=excerpt.truncated if excerpt else False,
        error=cut(redactor.text(failure)),
        duration_ms=round(1000 * recorded.duration_s),
    )
