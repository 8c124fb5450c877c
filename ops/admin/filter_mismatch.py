"""Which filters of a block do not match an alert, and why: for `courier render`.

Each filter is tested alone with the producer's index, so that the result is the same as in the producer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.integration import Integration
from producer.filters.index import FilterIndex
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Iterator

FILTERS: Final = ("level", "rule_ids", "group", "event_location")
"""Every filter field of an integration (spec 1.5), in the order of a block."""

ELEMENTS: Final = {"rule_ids": "rule_id"}
ALERT_FIELDS: Final = {"level": ("rule", "level"), "rule_ids": ("rule", "id"), "group": ("rule", "groups")}


def mismatches(integration: Integration, raw: bytes) -> list[str]:
    """Return, for each filter that does not match, the required value and the value of the alert.

    Raises InvalidAlert if `raw` is not an alert.
    """
    return list(_mismatches(integration, raw))


def _mismatches(integration: Integration, raw: bytes) -> Iterator[str]:
    blank = Integration(id=integration.id, name=integration.name)
    for name in FILTERS:
        wanted = getattr(integration, name)
        if wanted == getattr(blank, name):
            continue
        alone = Integration(id=integration.id, name=integration.name, **{name: wanted})
        if not FilterIndex([alone]).match(raw):
            element, value = ELEMENTS.get(name, name), _describe_value(name, raw)
            yield f"<{element}> requires {_describe_filter(name, wanted)}, the alert has {value}"


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
