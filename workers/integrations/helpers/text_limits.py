"""Truncates texts to the limits of a service. Each service module states its own limits and where they are documented.

A service rejects a text that is too long, or truncates it silently. Courier therefore truncates it first: between two
characters, and with a mark that the reader sees.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

ELLIPSIS: Final = "…"
"""The last character of a truncated text."""

MAX_URL_VALUE_BYTES: Final = 7_000
"""Bytes of a value in a URL. Servers should accept URLs of 8,000 bytes (RFC 9110, 4.1); the rest needs some of them."""


def truncate(value: Any, longest: int) -> Any:
    """Return a text of at most `longest` characters; the last one is ELLIPSIS if the text was longer.

    A value that is not a text is returned unchanged.
    """
    if not isinstance(value, str) or len(value) <= longest:
        return value
    return value[: longest - len(ELLIPSIS)] + ELLIPSIS


def fits_into_url(value: str) -> bool:
    """Say whether a percent-encoded value fits into a URL. It must not be truncated: a part of it is another value."""
    return len(value) <= MAX_URL_VALUE_BYTES and len(quote(value, safe="", errors="replace")) <= MAX_URL_VALUE_BYTES
