"""Says why an integration takes an alert or not: what each of its filters and conditions requires and saw.

The verdicts are those of the producer's own code, `IntegrationFilter` and the compiled conditions, so that an
explanation cannot differ from what the producer does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.conditions import Explanation, explain_condition
from common.conditions.values import text_of
from common.printable import printable
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import FilterField, decode_line
from producer.filters.integration_filter import IntegrationFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from common.conditions import NamedCondition
    from common.integration import Integration
    from producer.filters.agents import AgentGroups
    from producer.filters.conditions import AlertConditions

MAX_TEXT_CHARS: Final = 200
"""Longest text about one filter or condition: alerts and settings can hold longer ones."""

_ELEMENTS: Final = {
    FilterField.LEVEL: "level",
    FilterField.RULE_ID: "rule_id",
    FilterField.GROUPS: "group",
    FilterField.LOCATION: "event_location",
}
"""Filter → its element in ossec.conf (spec 1.3)."""

_PATHS: Final = {
    FilterField.LEVEL: ("rule", "level"),
    FilterField.RULE_ID: ("rule", "id"),
    FilterField.GROUPS: ("rule", "groups"),
    FilterField.LOCATION: ("location",),
}
"""Filter → the field of the alert that it tests."""


class MatchVerdict(StrEnum):
    """What filters and conditions decide for one alert."""

    MATCHES = "matches"
    FILTERED = "filtered"
    """A filter of the block rejects it."""
    EXCEPTED = "excepted"
    """The filters pass, and a condition of `only` or `except` excludes it."""


class FilterStep(msgspec.Struct, frozen=True):
    """One configured filter: its element, what it requires, what the alert has, and whether it passes.

    The texts are safe to show: hostile characters are escaped and long texts are cut.
    """

    element: str
    requires: str
    has: str
    passes: bool


class ConditionStep(msgspec.Struct, frozen=True):
    """One condition: `only` or `except`, its number in that list from 1, its text, and whether the alert passes it.

    `explanation` has what each term saw. A condition of `except` passes the alert if it does not hold.
    """

    kind: str
    number: int
    text: str
    passes: bool
    explanation: Explanation


class MatchExplanation(msgspec.Struct, frozen=True):
    """Every configured filter and condition of one integration, for one alert."""

    filters: tuple[FilterStep, ...]
    conditions: tuple[ConditionStep, ...]

    @property
    def verdict(self) -> MatchVerdict:
        """What they decide together."""
        if not all(step.passes for step in self.filters):
            return MatchVerdict.FILTERED
        return MatchVerdict.MATCHES if all(step.passes for step in self.conditions) else MatchVerdict.EXCEPTED


def explain_match(
    integration: Integration,
    names: Mapping[str, NamedCondition],
    raw: bytes,
    agents: AgentGroups = NO_AGENTS,
) -> MatchExplanation:
    """Explain the match of one line of the source with an integration, whose conditions can use `names` and `agents`.

    Raises InvalidAlert if the line is not an alert, and ConditionError or ValueError as IntegrationFilter does.
    """
    block, fields = IntegrationFilter(integration, names), decode_line(raw)
    alert = agents.decode(raw)
    filters = tuple(
        FilterStep(_ELEMENTS[field], _required(integration, field), _value(alert, field), passes)
        for field, passes in block.verdicts(fields).items()
    )
    return MatchExplanation(filters, tuple(_conditions(block.conditions, alert)))


def _conditions(conditions: AlertConditions, alert: dict[str, Any]) -> Iterator[ConditionStep]:
    for kind, each, passes_if in (("only", conditions.only, True), ("except", conditions.without, False)):
        for number, condition in enumerate(each, start=1):
            found = explain_condition(condition, alert)
            yield ConditionStep(kind, number, _shown(str(condition)), found.holds is passes_if, found)


def _required(integration: Integration, field: FilterField) -> str:
    match field:
        case FilterField.LEVEL:
            return f"{integration.level} or more"
        case FilterField.RULE_ID:
            return _shown(" or ".join(map(str, integration.rule_ids or ()))) or "no rule (the list is empty)"
        case FilterField.GROUPS:
            return _shown(repr((integration.group or "").removesuffix(",")))
        case _:
            return _shown(repr(integration.event_location))


def _value(alert: dict[str, Any], field: FilterField) -> str:
    """Return what the alert has in the field that a filter tests."""
    value: Any = alert
    for key in _PATHS[field]:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return "none"
    if field is FilterField.LEVEL and isinstance(value, str):
        return _shown(f'"{value}", a text and no number')
    if field is FilterField.RULE_ID and not isinstance(value, str):
        return f"{_shown(_text(value))}, no text"
    return _shown(", ".join(map(_text, value[:MAX_TEXT_CHARS])) if isinstance(value, list) else _text(value))


def _text(value: Any) -> str:
    return "a list" if isinstance(value, list) else text_of(value) or ("an object" if isinstance(value, dict) else "")


def _shown(text: str) -> str:
    shown = printable(text[: MAX_TEXT_CHARS + 1])
    return shown if len(shown) <= MAX_TEXT_CHARS else f"{shown[: MAX_TEXT_CHARS - 1]}…"
