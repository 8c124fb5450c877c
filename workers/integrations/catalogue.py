"""Which service serves which block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import ConfigError
from common.integration import Kind
from workers.integrations.script import Script

if TYPE_CHECKING:
    from common.integration import Integration
    from workers.integrations.base import Service


def service_for(integration: Integration) -> Service[Any, Any]:
    """Return the service of a block; raise ConfigError for a name that no service has."""
    if integration.kind is Kind.SCRIPT:
        return Script(integration)
    raise ConfigError(f"no service is called {integration.name!r}", file=integration.file, line=integration.line)
