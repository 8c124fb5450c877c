"""The report about an alert as a list of events in the order of time."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.admin.terminal import age, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.admin.explain.model import AlertReport, DeliveryReport, EndReport, ResponseReport

SAME_EVENT_MS: Final = 2000
"""The death of a delivery and its entry in the history are of one step, but their times come from two commands."""


class EventKind(StrEnum):
    """What happened, in words for a person."""

    QUEUED = "queued"
    FIRST_ATTEMPT = "first attempt"
    FAILED = "attempt failed"
    RESPONSE = "last response"
    DIED = "dead letter"
    ENDED = "ended"
    LEASE = "lease expires"
    DUE = "due"


class Event(NamedTuple):
    """One event of a delivery, at a time in ms since the epoch; the last ones may be in the future."""

    at_ms: int
    kind: EventKind
    integration: str
    delivery: str
    text: str = ""
    response: ResponseReport | None = None


def timeline(report: AlertReport) -> list[Event]:
    """Return the events of all deliveries of the alert, the oldest first."""
    found = list[Event]()
    for one in report.integrations:
        for delivery in one.deliveries:
            found += _of_delivery(one.id, delivery)
        deaths = [delivery.died_ms for delivery in one.deliveries if delivery.died_ms]
        for end in one.ended:
            is_same = end.outcome == "dead" and any(abs(end.ended_ms - ms) < SAME_EVENT_MS for ms in deaths)
            found += [event for event in _of_end(one.id, end) if not (is_same and event.kind is EventKind.ENDED)]
    order = [*EventKind]
    return sorted(dict.fromkeys(found), key=lambda event: (event.at_ms, order.index(event.kind)))


def _of_delivery(integration: str, one: DeliveryReport) -> Iterator[Event]:
    if one.committed_ms:
        text = f"as the fallback of {one.fallback_of}" if one.fallback_of else ""
        yield Event(one.committed_ms, EventKind.QUEUED, integration, one.id, text)
    for attempt in one.history:
        text = ": ".join(filter(None, (attempt.reason, attempt.detail)))
        yield Event(attempt.at_ms, EventKind.FAILED, integration, one.id, text)
    if one.response:
        status = "" if one.response.status is None else f"status {one.response.status}"
        yield Event(one.response.at_ms, EventKind.RESPONSE, integration, one.id, status, one.response)
    if one.died_ms:
        yield Event(one.died_ms, EventKind.DIED, integration, one.id, f"after {pluralize(one.attempts, 'attempt')}")
    if one.due_ms:
        yield Event(one.due_ms, EventKind.DUE, integration, one.id, "; ".join(one.reasons))
    if one.lease_ms:
        yield Event(one.lease_ms, EventKind.LEASE, integration, one.id, one.worker)


def _of_end(integration: str, one: EndReport) -> Iterator[Event]:
    if one.committed_ms:
        yield Event(one.committed_ms, EventKind.QUEUED, integration, one.delivery)
    if one.first_attempt_ms:
        yield Event(one.first_attempt_ms, EventKind.FIRST_ATTEMPT, integration, one.delivery)
    parts = (
        f"{one.outcome} ({one.reason})" if one.reason else one.outcome,
        f"after {pluralize(one.attempts, 'attempt')}" if one.attempts else "",
        f"the last one took {age(one.attempt_ms / 1000)}" if one.attempt_ms is not None else "",
        f"by {one.worker}" if one.worker else "",
    )
    yield Event(one.ended_ms, EventKind.ENDED, integration, one.delivery, ", ".join(filter(None, parts)))
