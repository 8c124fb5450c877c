"""An alert, and what a condition says about it."""

from __future__ import annotations

from typing import Any, Final

from common.conditions import compile_condition, parse_condition

ALERT: Final[dict[str, Any]] = {
    "timestamp": "2026-11-30T00:00:00.000+0000",
    "rule": {"level": 7, "id": "5710", "groups": ["syslog", "sshd"], "firedtimes": 3},
    "agent": {"id": "001", "name": "web01", "groups": ["prod-eu", "dmz"]},
    "data": {
        "srcip": "10.1.2.3",
        "size": "120",
        "ratio": 0.5,
        "empty": "",
        "nothing": None,
        "ok": True,
        "version": "1.10",
        "foo.bar": "dotted",
        "files": [{"name": "a.exe", "size": 1}, {"name": "b.dll"}, {}],
        "list": [],
        "path": "C:\\Windows\\System32\\cmd.exe",
    },
    "full_log": 'Failed password for "root" from 10.1.2.3\nport 22',
}


def holds(text: str, alert: dict[str, Any] = ALERT) -> bool:
    return compile_condition(parse_condition(text))(alert)


def data(value: Any) -> dict[str, Any]:
    """Return an alert whose field `x` has this value."""
    return {"x": value}
