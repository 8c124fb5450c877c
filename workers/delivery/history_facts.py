"""What the entry of a delivery in the history says of its alert and of its attempts.

Only the few fields of the entry are decoded, and the alert is scanned once: 2 us for an alert of 2 KB. An alert with a
field of another type, or that is not strict JSON, is read as the service modules read it; a field of the wrong type is
left empty, as is everything if the alert cannot be read at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from common.ledger.history import (
    AGENT_ID_CHARS,
    AGENT_NAME_CHARS,
    ALERT_ID_CHARS,
    DESCRIPTION_CHARS,
    MAX_LEVEL,
    RULE_ID_CHARS,
    WORKER_CHARS,
    Facts,
    encode_facts,
)
from workers.alert.alert import Alert

if TYPE_CHECKING:
    from common.ledger import Delivery, Settlement


class _Rule(msgspec.Struct):
    id: str = ""
    level: int | None = None
    description: str = ""


class _Agent(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Alert(msgspec.Struct):
    id: str = ""
    rule: _Rule | None = None
    agent: _Agent | None = None


_decode = msgspec.json.Decoder(_Alert).decode
_NO_RULE, _NO_AGENT = _Rule(), _Agent()


def facts_of(delivery: Delivery, settlement: Settlement, *, worker: str, attempt_ms: int) -> bytes:
    """Return the facts of a delivery that `settlement` ends after an attempt of `attempt_ms`. Raises no error."""
    alert, header = _read(delivery.alert), delivery.header
    rule, agent, level = alert.rule or _NO_RULE, alert.agent or _NO_AGENT, (alert.rule or _NO_RULE).level
    return encode_facts(
        Facts(
            alert.id[:ALERT_ID_CHARS],
            rule.id[:RULE_ID_CHARS],
            level if level is not None and 0 <= level <= MAX_LEVEL else None,
            rule.description[:DESCRIPTION_CHARS],
            agent.id[:AGENT_ID_CHARS],
            agent.name[:AGENT_NAME_CHARS],
            header.committed_ms,
            header.history[0].at_ms if header.history else delivery.begun_ms,
            settlement.header.attempts if settlement.header else header.attempts + 1,
            worker[:WORKER_CHARS],
            attempt_ms if settlement.contacted else None,
        )
    )


def _read(alert: bytes) -> _Alert:
    try:
        return _decode(alert)
    except (ValueError, RecursionError):  # msgspec checks the depth itself
        return _read_leniently(alert)


def _read_leniently(alert: bytes) -> _Alert:
    try:
        fields = Alert(alert).fields
    except (ValueError, RecursionError):
        return _Alert()
    rule, agent = _object(fields.get("rule")), _object(fields.get("agent"))
    level = rule.get("level")
    return _Alert(
        _text(fields.get("id")),
        _Rule(_text(rule.get("id")), level if type(level) is int else None, _text(rule.get("description"))),
        _Agent(_text(agent.get("id")), _text(agent.get("name"))),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return a text that can be encoded: JSON can escape half of a surrogate pair."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
