"""Keeps texts within what a service takes. Each service module states its own limits, and who documents them.

A service refuses what is too long, or cuts it without a word. So it is cut here: between two characters, and so that a
reader sees it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

ELLIPSIS: Final = "…"
"""The last character of a text that was cut."""

MAX_URL_VALUE_BYTES: Final = 7_000
"""Bytes of a value in a URL: servers should take 8,000 of all (RFC 9110, 4.1), and the address itself needs some."""


def truncate(value: Any, longest: int) -> Any:
    """Return a text of at most `longest` characters, the last one being the mark if there were more.

    What is no text is returned as it is.
    """
    if not isinstance(value, str) or len(value) <= longest:
        return value
    return value[: longest - len(ELLIPSIS)] + ELLIPSIS


def fits_into_url(value: str) -> bool:
    """Say whether a value, percent-encoded, may stand in a URL. Half of it would be another value: it is not cut."""
    return len(value) <= MAX_URL_VALUE_BYTES and len(quote(value, safe="", errors="replace")) <= MAX_URL_VALUE_BYTES
