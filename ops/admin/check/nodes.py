"""Whether other managers with the same Redis configure the same integrations in another way.

It asks Redis only if Redis answers at once: the check also works without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.connection.client import connect
from common.errors import CourierError
from common.registry.entries import catalogue
from ops.admin.check.finding import warning
from ops.admin.node_differences import describe_differences
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.settings.load import Settings
    from ops.admin.check.finding import Finding

TIMEOUT_S: Final = 1.0


def check_nodes(settings: Settings) -> Iterator[Finding]:
    """Yield a warning for each published description that differs from the one in force."""
    try:
        with connect(redis_url(settings), response_timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S) as client:
            listed = catalogue(client)
    except CourierError:
        return
    for one, what in listed.items():
        yield from (warning(f"{one}: {text}") for text in describe_differences(what.nodes, what.differing or {}))
