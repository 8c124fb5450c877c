"""What the address and the key of a service's API must look like. Producer and workers check both in the same way."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from common.connection.urls import normalised

_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[^\s<>\"'{}|\\^`?#]*)?")
_LATIN_1: Final = 0xFF

_TOPIC: Final = re.compile(r"[-_A-Za-z0-9]{1,64}")
"""github.com/binwiederhier/ntfy, server/server.go, `topicRegex`."""


class Topic(NamedTuple):
    """The address of a server of ntfy, with a slash at its end, and a topic of it."""

    server: str
    name: str


def api_address(url: str) -> str:
    """Return the address that paths are added to, without a slash at its end. Raises ValueError, without the URL."""
    address = normalised(url)
    if not _ADDRESS.fullmatch(address):
        raise ValueError("is not http(s)://HOST[:PORT][/PATH] without login, query or fragment")
    return address.rstrip("/")


def header_value(key: str) -> None:
    """Raise ValueError unless an HTTP header can contain the key."""
    if not all(character.isprintable() and ord(character) <= _LATIN_1 for character in key):
        raise ValueError("has characters that an HTTP header cannot contain")


def topic_of(url: str) -> Topic:
    """Return what the URL of a topic of ntfy names. Raises ValueError, without the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("is not a URL") from None
    path, _, topic = parts.path.rstrip("/").rpartition("/")
    if not topic:
        raise ValueError("has no topic: write https://SERVER/TOPIC")
    if not _TOPIC.fullmatch(name := unquote(topic)):
        raise ValueError("has a topic that ntfy does not accept: use 1 to 64 letters A to Z, digits, - and _")
    return Topic(urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", "")), name)
