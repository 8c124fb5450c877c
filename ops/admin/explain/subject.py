"""The alert to explain: its bytes and, if it is from the log, its line and its delivery id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.conditions.values import text_of
from common.timestamps import written_at_s
from ops.admin.explain.model import AlertSummary
from producer.filters.decode import InvalidAlert, decode_alert

if TYPE_CHECKING:
    from producer.source import Line

DELIVERY_ID: Final = re.compile(r"(?P<node>.+):(?P<line>[0-9a-f]{20}:[0-9a-f]{10,15}:[0-9a-f]{8})(?P<suffix>\+.*)?")
"""A delivery id of the alert log: node, id of the line, and `+fallback:ID` or the digest of an event."""


ALERT_ID: Final = re.compile(r"([0-9]{1,11})\.[0-9]{1,20}")
"""An alert's own id: the second in which the manager wrote it, and a number."""


class Subject(NamedTuple):
    """One alert. `source` says where its bytes are from.

    `delivery` is its delivery id without a suffix, empty if it has none. `line` is None if it was not read from this
    node's log. If only the history knows the alert, `raw` is empty and `facts` has the fields that the history keeps.
    """

    raw: bytes
    source: str
    node: str = ""
    delivery: str = ""
    line: Line | None = None
    facts: AlertSummary | None = None

    @property
    def written_s(self) -> float | None:
        """When the alert was written, in seconds since the epoch; None if it has no time."""
        return id_time_s(self.facts.id) if self.facts else written_at_s(self.raw)

    @property
    def alert_id(self) -> str:
        """The alert's own id, empty if it has none."""
        return _text(self._parsed().get("id"))

    def summary(self) -> AlertSummary:
        """Return the fields that identify the alert for a person."""
        if self.facts:
            return self.facts
        fields = self._parsed()
        rule, agent = (part if isinstance(part := fields.get(name), dict) else {} for name in ("rule", "agent"))
        return AlertSummary(
            id=_text(fields.get("id")),
            time=_text(fields.get("timestamp")),
            rule=_text(rule.get("id")),
            level=_text(rule.get("level")),
            description=_text(rule.get("description")),
            agent_id=_text(agent.get("id")),
            agent_name=_text(agent.get("name")),
        )

    def _parsed(self) -> dict[str, Any]:
        try:
            return decode_alert(self.raw)
        except InvalidAlert:
            return {}


def id_of(raw: bytes) -> object:
    """Return the `id` of an alert as it is; None if it has none or is no alert."""
    try:
        return decode_alert(raw).get("id")
    except InvalidAlert:
        return None


def id_time_s(wanted: str) -> float | None:
    """Return the earliest time of the alert with this id, in seconds since the epoch; None if the id does not have one.

    The manager's own id has the alert's second. A delivery id begins with the second of the first line of its file, in
    eight hexadecimal digits (`producer.alertlog.cursor.fingerprint`).
    """
    if found := ALERT_ID.fullmatch(wanted):
        return float(found[1])
    parts = DELIVERY_ID.fullmatch(wanted)
    return float(int(parts["line"][:8], 16)) or None if parts else None


MAX_TEXT_CHARS: Final = 200
"""Longest text of one field of an alert that is shown; alerts are hostile."""


def _text(value: Any) -> str:
    # A lone surrogate cannot be encoded in the JSON output.
    text = (text_of(value) or "") if isinstance(value, str | int | float) else ""
    return text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode()
