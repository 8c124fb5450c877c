"""Hints for fields that no alert has, though their names are known: `level` instead of `rule.level`.

Such a condition can be read, but no value ever matches it. The wrong names are those of the filters of ossec.conf, of
elements of rules and decoders, and of agents' properties. The right ones are where wazuh-analysisd writes them
(src/analysisd/format/to_json.c of Wazuh 4.14).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.conditions.model import Exists, comparisons, field_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from common.conditions.model import Condition

_IN_DATA: Final = (
    *("action", "aws", "audit", "azure", "docker", "dstip", "dstport", "dstuser", "extra_data", "gcp", "github"),
    *("office365", "osquery", "protocol", "srcip", "srcport", "srcuser", "url", "virustotal", "vulnerability", "win"),
)
"""What decoders find: it is under `data`."""

_MOVED: Final = {
    "rule_id": "rule.id",
    "rule.group": "rule.groups",
    "rule.mitre.tactics": "rule.mitre.tactic",
    "rule.mitre.techniques": "rule.mitre.technique",
    "level": "rule.level",
    "group": "rule.groups",
    "groups": "rule.groups",
    "description": "rule.description",
    "mitre": "rule.mitre",
    "agent_name": "agent.name",
    "agent_id": "agent.id",
    "agent_group": "agent.groups",
    "agent_groups": "agent.groups",
    "agent.group": "agent.groups",
    "event_location": "location",
    "path": "syscheck.path",
    "hostname": "predecoder.hostname",
    "eventdata": "data.win.eventdata",
    "win.eventdata": "data.win.eventdata",
    **{name: f"data.{name}" for name in _IN_DATA},
}
"""The beginning of a field that no alert has, and what alerts have instead."""

_OBJECTS: Final = {"rule": "rule.id", "agent": "agent.name"}
"""Objects, which no comparison matches."""


def field_hints(conditions: Iterable[Condition]) -> Iterator[str]:
    """Yield a text for each field under which no alert of Wazuh has a value that can be compared, each once."""
    seen = set[str]()
    for condition in conditions:
        for test in comparisons(condition.terms):
            field = field_text(test.path)
            right = _moved(field) or ("" if isinstance(test, Exists) else _OBJECTS.get(field, ""))
            if right and field not in seen:
                seen.add(field)
                yield f"alerts have no value in {field}; did you mean {right}?"


def _moved(field: str) -> str:
    """Return where alerts have what `field` means, '' if it is not known to be elsewhere."""
    parts = field.split(".")
    for end in range(len(parts), 0, -1):
        if right := _MOVED.get(".".join(parts[:end])):
            return ".".join((right, *parts[end:]))
    return ""
