"""One attempt at one delivery.

Its steps, with those before and after it:

    release    the dispatcher releases deliveries as far as rate limits, pauses and the breaker allow (release.lua)
    begin      the task begins the delivery, unless a pause or the breaker blocks the integration now (begin.lua)
    run        the runner starts the attempt on the event loop when fewer than `concurrency` are in progress
    annotate   an alert for a fallback integration gets the reason why it comes this way
    build      the service module builds the calls, or raises NotSendable if there is nothing to send
    look up    the look-up cache may have the response of a look-up service; then no call is sent
    send       the transport makes the call, perhaps with others' (`batches.py`), unless an earlier attempt completed it
    interpret  the service module turns the response, or the TransportError, into an outcome
    combine    the most severe outcome of all calls decides: delivered, skipped, postponed, retry or dead
    redact     the response recorder masks the secrets in the response and truncates it for the record
    settle     the settler stores the settlement, which also updates the breaker and pauses (settle.lua)

The service module knows its service, the transport knows the protocol, the ledger stores the result.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.errors import TransportError
from common.ledger import Attempt, Event, Header, Settlement, SettleOutcome
from common.outcome import Delivered, ManagerEvent, Outcome, Postponed, Reason, Rejected, Retry, Skipped
from workers.alert.alert import Alert
from workers.delivery.backoff import budget_spent, retry_delay_s
from workers.delivery.batches import Batches
from workers.delivery.fallback import annotate
from workers.delivery.lookup_cache import LookupCache
from workers.delivery.response import DEAD_BYTES, WAITING_BYTES
from workers.integrations.base import Batching, Cacheable, Deciding, NotSendable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from common.ledger import Delivery
    from common.settings.schema import Policy
    from workers.calls import Transport
    from workers.delivery.lookup_store import LookupStore
    from workers.delivery.response import ResponseRecorder
    from workers.integrations.base import Service
    from workers.integrations.helpers.event_signer import EventSigner

HISTORY_LIMIT: Final = 50
"""Attempts that a record keeps; older ones are dropped but stay counted in `attempts`."""

MAX_SINGLE_REFUSALS: Final = 5
"""Attempts after which a delivery dies whose key or address is refused while the target accepts other deliveries."""

_log = logging.getLogger("courier.delivery")
_encode = msgspec.json.Encoder().encode


class CallResult(NamedTuple):
    """The outcome of one call with its raw response, or with the TransportError if there was none."""

    outcome: Outcome
    response: Any
    contacted: bool


class AttemptResult(NamedTuple):
    """The result of a delivery's calls: outcome, keys of completed calls, and whether the target was contacted.

    `response` is the raw response that led to the outcome, or the TransportError if there was none.
    """

    outcome: Outcome
    completed_calls: tuple[str, ...]
    contacted: bool
    response: Any = None

    @property
    def status(self) -> int | None:
        """The HTTP or exit status of `response`, None if there is none."""
        return getattr(self.response, "status", None)


class Pipeline:
    """Makes the attempts of one integration."""

    def __init__(
        self,
        service: Service[Any, Any],
        transport: Transport,
        policy: Policy,
        random: Random,
        lookups: LookupStore | None = None,
        *,
        signer: EventSigner,
        last_response: ResponseRecorder | None = None,
    ) -> None:
        """`lookups` caches the responses of a service that is Cacheable. `signer` signs the events for the manager.

        `last_response` redacts the last response of each delivery for its record; without it, no response is kept.
        """
        self._last_response, self._signer = last_response, signer
        self._service, self._transport, self._policy, self._random = service, transport, policy, random
        self._decides = service if isinstance(service, Deciding) else None
        self._lookup_cache = LookupCache(service, lookups) if lookups and isinstance(service, Cacheable) else None
        self._batches = Batches(service, transport) if isinstance(service, Batching) and service.batch > 1 else None

    def for_test(self, wrap: Callable[[Transport], Transport]) -> Pipeline:
        """Return a copy for `courier test`: without the look-up cache, and each call goes through `wrap`."""
        service, transport = self._service, wrap(self._transport)
        return Pipeline(
            service, transport, self._policy, self._random, signer=self._signer, last_response=self._last_response
        )

    async def attempt(self, delivery: Delivery) -> Settlement:
        """Make one attempt on the event loop and return its settlement. An internal error leads to a retry."""
        completed = delivery.header.completed_calls
        try:
            return self._settlement(delivery, await self._build_and_call(_annotated(delivery), completed))
        except Exception as error:  # noqa: BLE001 — no error may lose the delivery
            _log.exception("attempt failed: internal error", extra={"delivery": delivery.id})
            outcome = Retry(Reason.INTERNAL, type(error).__name__)
            return self._settlement(delivery, AttemptResult(outcome, completed, contacted=True))

    async def _build_and_call(self, alert: Alert, completed: tuple[str, ...]) -> AttemptResult:
        """Build the calls, make those that are not completed yet, and combine their results."""
        try:
            calls = self._service.build_calls(alert)
        except NotSendable as error:
            # NOT_CONFIGURED counts as contact, so that it opens the breaker: otherwise every alert would die at once.
            return AttemptResult(error.outcome, completed, contacted=error.outcome.reason is Reason.NOT_CONFIGURED)
        results: list[CallResult] = []
        pending = list(calls)
        while pending:
            call = pending.pop(0)
            if call.key and call.key in completed:
                continue
            result = await self._look_up(alert, call) or await self._send(alert, call)
            results.append(result)
            # A rejected call is repeated, so that its rejection counts in the last attempt, too.
            if call.key and isinstance(result.outcome, Delivered | Skipped):
                completed = (*completed, call.key)
            if self._decides:
                pending = self._next(self._decides, alert, call, result, pending)
        outcome = combine([result.outcome for result in results])
        worst = max(results, key=lambda result: _severity(result.outcome), default=None)
        contacted = any(result.contacted for result in results)
        return AttemptResult(outcome, completed, contacted, worst.response if worst else None)

    @staticmethod
    def _next(decides: Deciding, alert: Alert, call: Any, result: CallResult, planned: list[Any]) -> list[Any]:
        """Return the calls that follow one, by its response; none if it failed."""
        if not isinstance(result.outcome, Delivered):
            return []
        return list(decides.next_calls(alert, call, result.response, planned))

    async def _look_up(self, alert: Alert, call: Any) -> CallResult | None:
        """Return the result of a call that need not be sent: its response is cached, or another worker gets it now."""
        outcome = await self._lookup_cache.get(alert, call) if self._lookup_cache else None
        return CallResult(outcome, None, contacted=False) if outcome else None

    async def _send(self, alert: Alert, call: Any) -> CallResult:
        try:
            response = await (self._batches.send(alert, call) if self._batches else self._transport.send(call))
        except TransportError as error:
            if self._lookup_cache:
                await self._lookup_cache.release(call)
            return CallResult(self._service.interpret_failure(alert, call, error), error, contacted=True)
        if self._lookup_cache:
            await self._lookup_cache.put(call, response)
        return CallResult(self._service.interpret(alert, call, response), response, contacted=True)

    def _settlement(self, delivery: Delivery, result: AttemptResult) -> Settlement:
        outcome, events = result.outcome, self._events(delivery, getattr(result.outcome, "events", ()))
        match outcome:
            case Delivered():
                return Settlement(
                    id=delivery.id,
                    outcome=SettleOutcome.DELIVERED,
                    pause_ms=round(1000 * (outcome.after_s or 0.0)),
                    events=events,
                    contacted=result.contacted,
                    status=result.status,
                )
            case Skipped():
                return Settlement(
                    id=delivery.id,
                    outcome=SettleOutcome.SKIPPED,
                    reason=outcome.reason,
                    contacted=result.contacted,
                    status=result.status,
                )
            case Postponed():
                header = msgspec.structs.replace(delivery.header, completed_calls=result.completed_calls)
                delay_ms = round(1000 * outcome.after_s * self._random.uniform(1.0, 1.5))
                return Settlement(
                    id=delivery.id,
                    outcome=SettleOutcome.POSTPONED,
                    delay_ms=delay_ms,
                    header=header,
                    events=events,
                    contacted=result.contacted,
                )
            case Retry() | Rejected():
                return self._failure(delivery, outcome, result)

    def _failure(self, delivery: Delivery, outcome: Retry | Rejected, result: AttemptResult) -> Settlement:
        header = _failed(delivery, outcome, result.completed_calls)
        age_s = (delivery.begun_ms - header.budget_start_ms) / 1000
        pause_ms = round(1000 * (outcome.after_s or 0.0)) if isinstance(outcome, Retry) else 0
        spent = budget_spent(header.attempts, age_s, self._policy) or _is_refused_alone(delivery, header, outcome)
        if isinstance(outcome, Retry) and not spent:
            return Settlement(
                id=delivery.id,
                outcome=SettleOutcome.RETRY,
                reason=outcome.reason,
                delay_ms=round(1000 * retry_delay_s(outcome, header.attempts, self._policy, self._random)),
                pause_ms=pause_ms,
                header=self._with_response(header, result, WAITING_BYTES),
                events=self._events(delivery, outcome.events),
                contacted=result.contacted,
                status=result.status,
            )
        final_events = outcome.final_events if isinstance(outcome, Retry) else ()
        return Settlement(
            id=delivery.id,
            outcome=SettleOutcome.DEAD,
            reason=outcome.reason,
            pause_ms=pause_ms,
            header=self._with_response(header, result, DEAD_BYTES),
            events=self._events(delivery, outcome.events + final_events),
            contacted=result.contacted,
            final=isinstance(outcome, Rejected),
            status=result.status,
        )

    def _events(self, delivery: Delivery, events: Sequence[ManagerEvent]) -> tuple[Event, ...]:
        """Sign each event. Its id is the same if the delivery is repeated, so the manager gets it once."""
        ids = [f"{delivery.id}+{_digest(_encode(event))}" for event in events]
        return tuple(Event(i, self._signer.sign(i, event)) for i, event in zip(ids, events, strict=True))

    def _with_response(self, header: Header, result: AttemptResult, max_bytes: int) -> Header:
        """Return the header with the response of this attempt; without one, it keeps the last response."""
        response = (
            self._last_response.excerpt(header.history[-1].at_ms, result.response, max_bytes)
            if self._last_response
            else None
        )
        return msgspec.structs.replace(header, response=response) if response else header


def _annotated(delivery: Delivery) -> Alert:
    origin = delivery.header.fallback_of
    raw = annotate(delivery.alert, origin) if origin else delivery.alert
    return Alert(raw, delivery.id, delivery.header.attempts + 1)


def combine(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of several calls of one delivery: the most severe one, with the events of all."""
    if len(outcomes) == 1:
        return outcomes[0]
    worst = max(outcomes, key=_severity, default=Delivered())
    if isinstance(worst, Skipped):
        return worst
    events = tuple(e for o in outcomes if not isinstance(o, Skipped) for e in o.events)
    if isinstance(worst, Retry):
        final_events = tuple(e for o in outcomes if isinstance(o, Retry) for e in o.final_events)
        return msgspec.structs.replace(worst, events=events, final_events=final_events)
    return msgspec.structs.replace(worst, events=events)


def _severity(outcome: Outcome) -> int:
    return (Skipped, Delivered, Rejected, Postponed, Retry).index(type(outcome))


def _is_refused_alone(delivery: Delivery, header: Header, outcome: Retry | Rejected) -> bool:
    """Return whether the target accepted other deliveries while it refused this one, so key and address are valid."""
    refused = outcome.reason in {Reason.UNAUTHORIZED, Reason.GONE} and header.attempts >= MAX_SINGLE_REFUSALS
    return refused and header.budget_start_ms < delivery.last_success_ms


def _failed(delivery: Delivery, outcome: Retry | Rejected, done: tuple[str, ...]) -> Header:
    header, attempt = delivery.header, Attempt(delivery.begun_ms, outcome.reason, outcome.detail)
    return msgspec.structs.replace(
        header,
        # Time in the queue before the first attempt does not use the retry budget.
        budget_start_ms=header.budget_start_ms or delivery.begun_ms,
        attempts=header.attempts + 1,
        completed_calls=done,
        history=(*header.history, attempt)[-HISTORY_LIMIT:],
    )


def _digest(payload: bytes) -> str:
    return hashlib.blake2b(payload, digest_size=6).hexdigest()
