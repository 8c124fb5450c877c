"""The address and the key of a service that has an API: hook_url is its address, api_key what a header carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.secret import Secret
from common.services.addresses import api_address, header_value
from workers.integrations.helpers import config

if TYPE_CHECKING:
    from common.integration import Integration


def address(block: Integration) -> Secret:
    """Return hook_url as the address that paths are added to, without a slash at its end. Raises ConfigError."""
    try:
        return Secret(api_address(config.hook_url(block).reveal()))
    except ValueError as error:
        raise config.config_error(block, "hook_url", str(error)) from None


def key(block: Integration) -> Secret:
    """Return api_key. Raises ConfigError if there is none, or if an HTTP header cannot contain it."""
    secret = config.api_key(block)
    try:
        header_value(secret.reveal())
    except ValueError as error:
        raise config.config_error(block, "api_key", str(error)) from None
    return secret
