"""A ledger on which a test moves the deliveries of one integration by hand; the product handles many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import common.ledger
from common.errors import LedgerDamaged
from common.ledger import NO_NOTIFICATIONS, Begin, Limits, Notifications, Reap, Reaped, Release, Settle
from common.ledger.calls import undamaged
from common.ledger.keys import keys_of, keys_with_limits, notification_keys
from common.ledger.limits import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from common.ledger import Delivery, Settled, Settlement


class Ledger(common.ledger.Ledger):
    """The product's `Ledger`, with the steps of a delivery for one integration, which raise LedgerDamaged."""

    def release(
        self,
        integration_id: str,
        *,
        max_in_flight: int,
        batch_max: int,
        lease_s: float,
        linger_s: float,
        limits: Limits = UNLIMITED,
        ids_per_task: int = 1,
        min_ids: int = 1,
    ) -> list[list[str]]:
        """Return the ids of each task to publish, nothing if the integration is damaged."""
        terms = Release(
            max_in_flight=max_in_flight,
            batch_max=batch_max,
            lease_s=lease_s,
            linger_s=linger_s,
            limits=limits,
            ids_per_task=ids_per_task,
            min_ids=min_ids,
        )
        return self.release_all({integration_id: terms}).get(integration_id, [])

    def reap(
        self,
        integration_id: str,
        *,
        queued: Collection[str],
        lease_s: float,
        notifications: Notifications = NO_NOTIFICATIONS,
    ) -> Reaped:
        """Return deliveries with an expired lease to waiting."""
        terms = Reap(queued=queued, lease_s=lease_s, notifications=notifications)
        keys = [*keys_of(integration_id), *notification_keys(notifications.fallback)]
        return Reaped(*self._calls.run("reap", integration_id, *terms.script_args(), keys=keys))

    def begin(
        self, integration_id: str, ids: Sequence[str], *, token: str, lease_s: float, limits: Limits = UNLIMITED
    ) -> list[Delivery]:
        """Take the leases of released deliveries."""
        terms = Begin(ids=ids, lease_s=lease_s, limits=limits)
        call = keys_with_limits(integration_id, limits.target), terms.script_args(token)
        (results,) = self._calls.run_in_order([("begin", {integration_id: call})])
        return self._begun(integration_id, ids, undamaged(results[integration_id]))

    def settle(
        self,
        integration_id: str,
        settlements: Sequence[Settlement],
        *,
        token: str,
        last_error: str = "",
        last_error_mac: str = "",
        limits: Limits = UNLIMITED,
        notifications: Notifications = NO_NOTIFICATIONS,
        release: Release | None = None,
    ) -> Settled:
        """Record the outcomes of begun deliveries."""
        terms = Settle(
            settlements=settlements,
            last_error=last_error,
            last_error_mac=last_error_mac,
            limits=limits,
            notifications=notifications,
            release=release,
        )
        result = self.settle_all({integration_id: terms}, token=token)[integration_id]
        if isinstance(result, LedgerDamaged):
            raise result
        return result
