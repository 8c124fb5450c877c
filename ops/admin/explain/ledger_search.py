"""Finds alerts in Redis by an id, if the log does not have it any more or is on another host.

A delivery has its alert in the ledger until it ends; after that, the history has a few of the alert's fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.admin.explain.case import valid
from ops.admin.explain.model import AlertSummary
from ops.admin.explain.subject import DELIVERY_ID, Subject, id_time_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.ledger import HistoryEntry
    from ops.admin.explain.ledger import LedgerState

CLOCK_TOLERANCE_MS: Final = 3_600_000
"""The clocks of the manager and of Redis may differ: the history is searched from this much before the alert on."""

MAX_SUBJECTS: Final = 5
"""Alerts of one id that are explained: two managers can give the same id, and a digest has that of an alert."""


def find_in_ledger(state: LedgerState, wanted: str) -> list[Subject]:
    """Return what Redis knows of the id of an alert or of a delivery: each alert once, held ones first."""
    found: dict[str, Subject] = {}
    held = {i: [one.delivery for one in located] for i, located in state.locate_exactly(wanted).items()}
    if not held and not DELIVERY_ID.fullmatch(wanted):
        held = state.held_about(wanted)
    for integration_id, deliveries in held.items():
        for one in deliveries:
            node, base = _parts(one.id)
            found.setdefault(base, Subject(one.alert, f"the ledger, integration {integration_id}", node, base))
    is_delivery = wanted in found  # then its report has the history, too
    for entry in () if is_delivery else state.ended_about(wanted, since_ms(id_time_s(wanted))):
        node, base = _parts(entry.delivery)
        source = f"the history, integration {entry.integration}"
        found.setdefault(base, Subject(b"", source, node, base, facts=_summary(entry)))
    return [*found.values()][:MAX_SUBJECTS]


def since_ms(written_s: float | None) -> int:
    """Return from when on the history can have the end of an alert that was written then; 0 if that is unknown."""
    return max(0, round(1000 * (written_s or 0)) - CLOCK_TOLERANCE_MS)


def silences_then(state: LedgerState, written_s: float | None) -> Iterator[str]:
    """Yield the silences in force when an alert was written whose conditions or integrations cannot be tested here."""
    for one in state.silences if written_s is not None else ():
        if one.start_ms <= 1000 * (written_s or 0) < one.end_ms:
            which = ", ".join(one.integrations) or "any integration"
            known = f"the silence {one.id} ({one.why}, by {one.author}) was in force when the alert was written"
            yield f"{known}, and may have kept it from {which}: its conditions are {'; '.join(one.match) or 'none'}"


def _parts(delivery: str) -> tuple[str, str]:
    """Return the node of a delivery, empty if its id has another form, and its id without a suffix."""
    parts = DELIVERY_ID.fullmatch(delivery)
    return (parts["node"], delivery.removesuffix(parts["suffix"] or "")) if parts else ("", delivery)


def _summary(entry: HistoryEntry) -> AlertSummary:
    facts = entry.facts
    return AlertSummary(
        id=valid(facts.alert_id),
        time="",
        rule=valid(facts.rule_id),
        level="" if facts.rule_level is None else str(facts.rule_level),
        description=valid(facts.rule_description),
        agent_id=valid(facts.agent_id),
        agent_name=valid(facts.agent_name),
    )
