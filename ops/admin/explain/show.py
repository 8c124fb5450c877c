"""The report as text: one block for an alert, or one line an integration in a list of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.admin.explain.case import clock_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.admin.explain.model import AlertReport, DeliveryReport, IntegrationReport
    from producer.filters.explain import ConditionStep, FilterStep

MAX_ATTEMPTS: Final = 10
MAX_RESPONSE_CHARS: Final = 1_000
"""What the text shows; `--json` has more."""


def full_text(report: AlertReport) -> Iterator[str]:
    """Yield the lines about one alert. Their text is not escaped yet."""
    yield from _head(report)
    for one in report.integrations:
        yield ""
        yield f"{one.id}{'' if one.configured else ' (not configured on this node)'}: {one.text}"
        yield from (f"  {line}" for line in _details(one))


def brief_text(report: AlertReport) -> Iterator[str]:
    """Yield the lines about one of several alerts: one for the alert, and one for each integration."""
    yield _title(report)
    yield from (f"  {one.id}: {one.text}" for one in report.integrations)


def _head(report: AlertReport) -> Iterator[str]:
    yield _title(report)
    yield f"from {report.source}"
    if report.delivery:
        yield f"delivery {report.delivery}"
    if report.redis_error:
        yield f"note: Redis does not answer, so only filters and conditions are explained: {report.redis_error}"
    yield from (f"note: {note}" for note in report.notes)
    if not report.integrations:
        yield "no integration is configured"


def _title(report: AlertReport) -> str:
    alert = report.alert
    parts = (
        f"alert {alert.id}" if alert.id else "alert without an id",
        alert.time,
        f"rule {alert.rule} (level {alert.level or '0'}) {alert.description}".rstrip() if alert.rule else "",
        f"agent {alert.agent_id} {alert.agent_name}".rstrip() if alert.agent_id or alert.agent_name else "",
    )
    return ", ".join(filter(None, parts))


def _details(one: IntegrationReport) -> Iterator[str]:
    yield from map(_filter, one.filters)
    for step in one.conditions:
        yield from _condition(step)
    if one.matches and not one.filters and not one.conditions:
        yield "no filter, no condition: every alert matches"
    yield from (f"note: {note}" for note in one.notes)
    for delivery in one.deliveries:
        if delivery.text != one.text:
            yield f"delivery {delivery.id}: {delivery.text}"
        yield from _attempts(delivery)
        yield from (f"run: {command}" for command in delivery.commands)
    if not one.deliveries:
        yield from (f"run: {command}" for command in one.commands)


def _filter(step: FilterStep) -> str:
    return f"{step.element}: requires {step.requires}, the alert has {step.has}: {_yes(step.passes)}"


def _condition(step: ConditionStep) -> Iterator[str]:
    """Yield the condition and what each term saw; `except` excludes an alert if all of its terms hold."""
    yield f"{step.kind}[{step.number}] {step.text}: {'passes' if step.passes else 'excludes the alert'}"
    for term in step.explanation.steps:
        yield from term.lines("  ")


def _yes(passes: bool) -> str:
    return "yes" if passes else "NO"


def _attempts(one: DeliveryReport) -> Iterator[str]:
    left_out = len(one.history) - MAX_ATTEMPTS
    if left_out > 0:
        yield f"{left_out} earlier attempts: see --json"
    for attempt in one.history[-MAX_ATTEMPTS:]:
        yield f"attempt {clock_time(attempt.at_ms)}: {attempt.reason}: {attempt.detail}"
    if one.lost_attempts:
        yield f"{one.lost_attempts} attempts were lost, because the worker died during them"
    if response := one.response:
        status = "no status" if response.status is None else f"status {response.status}"
        cut = "…" if response.truncated or len(response.text) > MAX_RESPONSE_CHARS else ""
        yield f"last response {clock_time(response.at_ms)}: {status}: {response.text[:MAX_RESPONSE_CHARS]}{cut}"
