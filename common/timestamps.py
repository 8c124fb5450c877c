"""The time that a line of the alert log carries, read without decoding the rest of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_TIMESTAMP: Final = re.compile(rb'"timestamp" ?: ?"([0-9T:.+Z-]{19,40})"')


def written_at_s(line: bytes) -> float | None:
    """Return the time that a line carries (`2024-05-11T12:29:19.905+0000`), in seconds since 1970, if it does."""
    found = _TIMESTAMP.search(line)
    try:
        moment = datetime.fromisoformat(found[1].decode()) if found else None
    except ValueError:
        return None
    # Every machine has to read the same time, so one without a zone is not taken as local.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None
