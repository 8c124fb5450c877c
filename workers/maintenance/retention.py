"""Deletes the oldest dead letters beyond `dead_max_age` or `dead_max_bytes`, and old entries of the history.

Deleted dead letters are counted and logged. Every worker checks once a minute, and again a second later if one step was
not enough. Steps are small, because the same thread renews the leases of deliveries in flight.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from common.ledger.operator_operations import RETAIN_LIMIT

if TYPE_CHECKING:
    from common.ledger import Ledger
    from common.settings.schema import Policy

RUN_EVERY: Final = 60
"""Maintenance runs, one a second, between two checks."""

_log = logging.getLogger("courier.worker")


class Retention:
    """Remembers for which integrations the last step was not enough."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._unfinished: set[str] = set()

    def run(self, integration_id: str, policy: Policy, runs: int) -> None:
        """Delete what exceeds the policy if a check is due. Raises LedgerUnavailable or LedgerMisconfigured."""
        if runs % RUN_EVERY == 0:
            self._ledger.trim_history(
                integration_id, max_entries=policy.history_max, max_age_s=policy.history_max_age_s
            )
        if policy.dead_max_age_s is None and policy.dead_max_bytes is None:
            return
        if runs % RUN_EVERY and integration_id not in self._unfinished:
            return
        expired = self._ledger.retain(
            integration_id, max_age_s=policy.dead_max_age_s, max_bytes=policy.dead_max_bytes, limit=RETAIN_LIMIT
        )
        if expired:
            _log.warning(
                "dead letters expired and deleted (dead_max_age, dead_max_bytes)",
                extra={"integration": integration_id, "expired": expired},
            )
        if expired < RETAIN_LIMIT:
            self._unfinished.discard(integration_id)
        else:
            self._unfinished.add(integration_id)
