"""Check whether Apprise accepts a hook_url, as a worker does. Producers themselves need no Apprise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.services.apprise import NOT_INSTALLED
from ops.admin.check.finding import Finding, error, warning
from workers.apprise.plugin import PluginError, open_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration


def check_apprise(integration: Integration) -> Iterator[Finding]:
    """Yield why an integration of the service apprise cannot send; nothing for another service."""
    if integration.service != "apprise" or integration.hook_url is None:
        return
    where = f"{integration.file}:{integration.line}"
    try:
        open_plugin(integration.hook_url.reveal())
    except ModuleNotFoundError:
        yield warning(f"hook_url was not checked: {NOT_INSTALLED}", where)
    except PluginError as problem:
        yield error(f"hook_url {problem}", where)
