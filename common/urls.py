"""URLs that may hold a password: checked, completed and shown without ever repeating the secret part.

`urllib` quotes pieces of a bad URL in its errors, and those pieces can be the password: nothing passes them on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from common.secret import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from urllib.parse import SplitResult

    from common.secret import Secret

LOCAL_SCHEME: Final = "unix"
"""The scheme of a socket file: a path and no host."""

NOT_ENCODED: Final = "cannot be read: special characters of a password must be percent-encoded"


def check_url(url: str, schemes: Collection[str]) -> None:
    """Raise ValueError, free of secrets, unless `url` has one of `schemes` and a host (a path for `unix`)."""
    parts = _split(url)
    if parts.scheme not in schemes:
        raise ValueError(f"does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if parts.scheme == LOCAL_SCHEME and not parts.path.startswith("/"):
        raise ValueError("names no absolute path of a socket")
    if parts.scheme != LOCAL_SCHEME and not parts.hostname:
        raise ValueError("names no host")
    if "password" in parse_qs(parts.query):
        raise ValueError("has a password behind the question mark")


def show_url(url: str) -> str:
    """Return a checked URL for people: whoever may log in is masked, and what follows a `?` is left out."""
    parts = _split(url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{MASK if user else ''}{at}{host}{parts.path}"


def complete_url(url: str, *, password: Secret | None, query: Mapping[str, str]) -> str:
    """Return a checked URL with `password` instead of its own, and with `query` added to its own."""
    parts = _split(url)
    user, at, host = parts.netloc.rpartition("@")
    if password:
        user, at = f"{user.partition(':')[0]}:{quote(password.reveal(), safe='')}", "@"
    queries = "&".join(filter(None, (parts.query, urlencode(query))))
    return "?".join(filter(None, (f"{parts.scheme}://{user}{at}{host}{parts.path}", queries)))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a bad port is noticed only when somebody asks
    except ValueError:
        raise ValueError(NOT_ENCODED) from None
    if parts.fragment or "@" in parts.path + parts.query:  # the password's own /, ? or # ended the host too early
        raise ValueError(NOT_ENCODED)
    return parts
