"""Which filters and conditions of an integration exclude an alert, and why: for `courier render`.

Each filter is tested alone with the producer's index, so that the result is the same as in the producer. Conditions are
explained with the alert as the producer decodes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.conditions import explain_condition, parse_condition, parse_named_conditions
from common.integration import Integration
from producer.filters.agents import NO_AGENTS
from producer.filters.index import NO_CONDITIONS, FilterIndex
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.filters.agents import AgentGroups

FILTERS: Final = ("level", "rule_ids", "group", "event_location")
"""Every filter field of an integration (spec 1.5), in the order of a block."""

ELEMENTS: Final = {"rule_ids": "rule_id"}
ALERT_FIELDS: Final = {"level": ("rule", "level"), "rule_ids": ("rule", "id"), "group": ("rule", "groups")}


def mismatches(
    integration: Integration,
    raw: bytes,
    named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
    agents: AgentGroups = NO_AGENTS,
) -> list[str]:
    """Return, for each filter and condition that excludes the alert, what it requires and what the alert has.

    Raises InvalidAlert if `raw` is not an alert.
    """
    return [*_filters(integration, raw), *_conditions(integration, raw, named_conditions, agents)]


def _filters(integration: Integration, raw: bytes) -> Iterator[str]:
    blank = Integration(id=integration.id, name=integration.name)
    for name in FILTERS:
        wanted = getattr(integration, name)
        if wanted == getattr(blank, name):
            continue
        alone = Integration(id=integration.id, name=integration.name, **{name: wanted})
        if not FilterIndex([alone]).match(raw):
            element, value = ELEMENTS.get(name, name), _describe_value(name, raw)
            yield f"<{element}> requires {_describe_filter(name, wanted)}, the alert has {value}"


def _conditions(
    integration: Integration, raw: bytes, named_conditions: Mapping[str, Sequence[str]], agents: AgentGroups
) -> Iterator[str]:
    if not integration.only and not integration.except_:
        return
    names, alert = parse_named_conditions(named_conditions), agents.decode(raw)
    for text in integration.only:
        missed = explain_condition(parse_condition(text, names=names), alert).decided_by
        if missed:
            yield f"only requires {missed.term}: {missed.saw}"
    for text in integration.except_:
        met = explain_condition(parse_condition(text, names=names), alert)
        if met.holds:
            yield f"except excludes {text}: {'; '.join(step.saw for step in met.steps)}"


def _describe_filter(name: str, wanted: object) -> str:
    if name == "level":
        return f"{wanted} or more"
    if isinstance(wanted, tuple):
        return " or ".join(map(str, wanted)) or "no rule (the list is empty)"
    text = str(wanted).removesuffix(",") if name == "group" else str(wanted)
    return repr(text)


def _describe_value(name: str, raw: bytes) -> str:
    fields = Alert(raw).fields
    value = fields.get("location")
    if path := ALERT_FIELDS.get(name):
        outer = fields.get(path[0])
        value = outer.get(path[1]) if isinstance(outer, dict) else None
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
