"""Publishes the integrations again if another writer has changed or deleted them in Redis."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from common.reports.producer import ForeignWrite
from producer.cursors.assignment import published_policies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.integration import Integration
    from common.registry.published import PublishedRegistry
    from common.settings.schema import Policy
    from producer.foreign_writes import ForeignWrites

CHECK_S: Final = 5.0
"""Interval between checks. A shorter one would fill the logs if two producers with different secret keys repair each
other's entries."""

_log = logging.getLogger("courier.producer")


class RegistryRepair:
    """Checks what is published of one node's integrations. `now` is monotonic, in seconds."""

    def __init__(
        self,
        node: str,
        registry: PublishedRegistry,
        policy: Callable[[Integration], Policy],
        foreign: ForeignWrites,
        now: Callable[[], float],
    ) -> None:
        self._node, self._registry, self._policy = node, registry, policy
        self._foreign, self._now = foreign, now
        self._checked_at_s = now()

    def check(self, integrations: Sequence[Integration]) -> None:
        """Publish the integrations again if any is missing or modified. Does nothing until CHECK_S have passed."""
        now_s = self._now()
        if now_s - self._checked_at_s < CHECK_S:
            return
        self._checked_at_s = now_s
        if self._registry.repair(self._node, integrations, lambda: published_policies(integrations, self._policy)):
            self._foreign.record(ForeignWrite.REGISTRY)
            _log.error("integrations in Redis were missing or modified by another writer; published again")
