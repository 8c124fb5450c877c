"""The address and the key of a service that has an API: hook_url is its address, api_key what a header carries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common.connection.urls import normalised
from common.secret import Secret
from workers.integrations.helpers import config

if TYPE_CHECKING:
    from common.integration import Integration

_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[^\s<>\"'{}|\\^`?#]*)?")


def address(block: Integration) -> Secret:
    """Return hook_url as the address that paths are added to, without a slash at its end. Raises ConfigError."""
    url = normalised(config.hook_url(block).reveal())
    if not _ADDRESS.fullmatch(url):
        raise config.config_error(
            block, "hook_url", "is not http(s)://HOST[:PORT][/PATH] without login, query or fragment"
        )
    return Secret(url.rstrip("/"))


def key(block: Integration) -> Secret:
    """Return api_key. Raises ConfigError if there is none, or if an HTTP header cannot contain it."""
    secret = config.api_key(block)
    if not all(character.isprintable() and ord(character) <= 0xFF for character in secret.reveal()):  # noqa: PLR2004 — Latin-1
        raise config.config_error(block, "api_key", "has characters that an HTTP header cannot contain")
    return secret
