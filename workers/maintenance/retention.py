"""Gives up the oldest dead letters where an operator set `dead_max_age` or `dead_max_bytes`: counted, and told.

Every worker looks once a minute; where one step was not enough, a second later. Steps are small, because the leases
of what is being sent are renewed by the same thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from common.ledger.ledger import RETAIN_LIMIT

if TYPE_CHECKING:
    from common.ledger import Ledger
    from common.settings.schema import Policy

RUN_EVERY: Final = 60
"""Rounds of the housekeeping, each a second, between two looks."""

_log = logging.getLogger("courier.worker")


class Retention:
    """What is left to give up, by integration."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._unfinished: set[str] = set()

    def run(self, integration_id: str, policy: Policy, rounds: int) -> None:
        """Give up what is too much, if it is time to look. Raises LedgerUnavailable or LedgerMisconfigured."""
        if policy.dead_max_age_s is None and policy.dead_max_bytes is None:
            return
        if rounds % RUN_EVERY and integration_id not in self._unfinished:
            return
        expired = self._ledger.retain(
            integration_id, max_age_s=policy.dead_max_age_s, max_bytes=policy.dead_max_bytes, limit=RETAIN_LIMIT
        )
        if expired:
            _log.warning(
                "dead letters were given up for good, beyond dead_max_age or dead_max_bytes",
                extra={"integration": integration_id, "expired": expired},
            )
        if expired < RETAIN_LIMIT:
            self._unfinished.discard(integration_id)
        else:
            self._unfinished.add(integration_id)
