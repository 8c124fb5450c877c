"""What an integration takes from its `<integration>` block; what is wrong with the block is a ConfigError.

The configuration reader has refused such blocks already (D13): this is for one that came another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import ConfigError
from workers.integrations.helpers.options import parse_options

if TYPE_CHECKING:
    from common.integration import Integration
    from common.secret import Secret


def hook_url(block: Integration) -> Secret:
    """Return the hook_url; raise ConfigError without one."""
    return _require(block, "hook_url", block.hook_url)


def api_key(block: Integration) -> Secret:
    """Return the api_key, which may be empty; raise ConfigError without one."""
    return _require(block, "api_key", block.api_key)


def options(block: Integration) -> dict[str, Any]:
    """Return what replaces or adds to the message (spec 5.1); raise ConfigError if it cannot be read."""
    if block.options is None:
        return {}
    try:
        return parse_options(block.options.reveal())
    except ValueError as error:
        raise config_error(block, "options", str(error)) from None


def config_error(block: Integration, element: str, problem: str) -> ConfigError:
    """Return the error for an element of the block; `problem` must be free of secrets."""
    return ConfigError(problem, file=block.file, line=block.line or None, element=element)


def _require(block: Integration, element: str, value: Secret | None) -> Secret:
    if value is None:
        raise config_error(block, element, f"{block.name} needs it")
    return value
