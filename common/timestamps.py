"""Reads the timestamp of a line of the alert log without decoding the line, and writes times."""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Final

_TIMESTAMP: Final = re.compile(rb'"timestamp" ?: ?"([0-9T:.+Z-]{19,40})"')


def written_at_s(line: bytes) -> float | None:
    """Return the `timestamp` of a line (`2024-05-11T12:29:19.905+0000`) in seconds since 1970, None if it has none.

    A time in the first or last year that Python has is none either: in UTC, or rounded, it may be in no year at all.
    """
    found = _TIMESTAMP.search(line)
    try:
        moment = datetime.fromisoformat(found[1].decode()) if found else None
    except ValueError:
        return None
    if moment and not MINYEAR < moment.year < MAXYEAR:
        return None
    # A time without a zone is UTC, not local time, so that all machines read the same time.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None


def time_text(moment_ms: int) -> str:
    """Return a time in ISO 8601, in UTC and to the second."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
