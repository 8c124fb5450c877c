"""Alerts as a manager writes them, 1.5 KB each; they differ only in id, port and the group that filters match."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def alert_id(n: int) -> str:
    """Return the id of alert number `n`, which the target reports."""
    return f"1769846400.{n}"


def alert(n: int, group: str = "sshd") -> bytes:
    """Return alert number `n` as a line of the log."""
    content = {
        "timestamp": "2026-01-31T08:00:00.000+0000",
        "rule": {"level": 10, "id": "5712", "description": "sshd: brute force", "groups": ["syslog", group]},
        "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
        "manager": {"name": "wazuh"},
        "id": alert_id(n),
        "full_log": f"Jan 31 08:00:00 web01 sshd[{n}]: Invalid user x from 203.0.113.7 port {n} " + "y" * 1000,
        "data": {"srcip": "203.0.113.7", "srcuser": "x"},
        "location": "/var/log/secure",
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def alerts(count: int, group: str = "sshd", *, first: int = 0) -> Iterator[bytes]:
    """Yield `count` alerts, numbered from `first`."""
    return (alert(n, group) for n in range(first, first + count))


def write_steadily(log: Path, lines: Sequence[bytes], *, per_s: float) -> list[float]:
    """Append the lines one by one at `per_s`. Return the time before each write in seconds since the epoch."""
    times, start_s = [], time.time()
    with log.open("ab", buffering=0) as file:
        for n, line in enumerate(lines):
            time.sleep(max(0.0, start_s + n / per_s - time.time()))
            times.append(time.time())
            file.write(line)
    return times
