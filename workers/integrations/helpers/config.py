"""Reads the elements of an `<integration>` block that a service needs. Raises ConfigError if the block is invalid.

The producer already refuses such blocks (D13). These checks cover blocks that come from elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import ConfigError
from common.integration_options import parse_options

if TYPE_CHECKING:
    from common.integration import Integration
    from common.secret import Secret


def hook_url(block: Integration) -> Secret:
    """Return the hook_url. Raises ConfigError if the block has none."""
    return _require(block, "hook_url", block.hook_url)


def api_key(block: Integration) -> Secret:
    """Return the api_key, which may be empty. Raises ConfigError if the block has none."""
    return _require(block, "api_key", block.api_key)


def options(block: Integration) -> dict[str, Any]:
    """Return the members that replace or extend the message (spec 5.1). Raises ConfigError if they are invalid."""
    if block.options is None:
        return {}
    try:
        return parse_options(block.options.reveal())
    except ValueError as error:
        raise config_error(block, "options", str(error)) from None


def config_error(block: Integration, element: str, problem: str) -> ConfigError:
    """Return the error for an element of the block; `problem` must not contain secrets."""
    return ConfigError(problem, file=block.file, line=block.line or None, element=element)


def _require(block: Integration, element: str, value: Secret | None) -> Secret:
    if value is None:
        raise config_error(block, element, f"{block.service} needs it")
    return value
