"""Reads the fields of an alert. If one is missing, the alert becomes a dead letter that names the field.

The stock scripts crash on a missing key and lose the alert.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common.exact_json import as_number, write_json
from common.outcome import Reason, Rejected
from workers.integrations.base import NotSendable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.alert.alert import Alert

Fields = dict[str, Any]


def fields_of(alert: Alert) -> Fields:
    """Return the parsed alert. Raises NotSendable if it is not a JSON object."""
    try:
        return alert.fields
    except ValueError as error:
        raise invalid_alert(f"the alert cannot be read: {error}") from None


def require(fields: Fields, *path: str) -> Any:
    """Return the value at a path such as `"rule", "level"`. Raises NotSendable with the path if it is missing."""
    value: Any = fields
    for depth, name in enumerate(path, start=1):
        if not isinstance(value, dict):
            raise invalid_alert(f"{'.'.join(path[: depth - 1])} is not an object")
        if name not in value:
            raise invalid_alert(f"{'.'.join(path[:depth])} is missing")
        value = value[name]
    return value


def get(fields: Fields, *path: str) -> Any:
    """Return the value at a path, or None if it is missing."""
    value: Any = fields
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def require_level(fields: Fields) -> float:
    """Return the rule's level, only for comparisons. Raises NotSendable if it is not a number."""
    level = as_number(require(fields, "rule", "level"))
    if level is None:
        raise invalid_alert("rule.level is not a number")
    return level


def moment_of(fields: Fields) -> datetime | None:
    """Return the time of the alert, in UTC, None if it has no valid one. A time without a zone is UTC."""
    written = fields.get("timestamp")
    try:
        moment = datetime.fromisoformat(written if isinstance(written, str) else "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def json_body(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON, formatted as the stock scripts do. Raises NotSendable if it has no JSON form."""
    try:
        return write_json(message).encode("ascii")
    except ValueError as error:
        raise invalid_alert(f"the alert cannot be written: {error}") from None


def invalid_alert(what: str) -> NotSendable:
    """Return the exception that makes the alert a dead letter with `what` as its detail."""
    return NotSendable(Rejected(Reason.INVALID_ALERT, what))
