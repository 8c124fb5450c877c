"""Reads the one alert that an operator gives a command, in a file or on standard input."""

from __future__ import annotations

from common.errors import CourierError
from workers.alert.alert import Alert


def one_alert(content: bytes) -> bytes:
    """Return the alert, which may span several lines. Raises CourierError if there is not exactly one."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    if not lines:
        raise CourierError("the input is empty; give one line of alerts.json")
    if len(lines) > 1 and _is_alone(lines[0]):
        raise CourierError(f"the input has {len(lines)} lines; give one line of alerts.json")
    return lines[0] if len(lines) == 1 else content.strip()


def _is_alone(line: bytes) -> bool:
    try:
        return bool(Alert(line).fields)
    except ValueError:
        return False
