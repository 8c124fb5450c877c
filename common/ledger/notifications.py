"""Whom to notify of dead letters, an open breaker and lagging deliveries: the fallback and the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from common.integration import MANAGER_ID

if TYPE_CHECKING:
    from common.settings.schema import Policy


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """`fallback` is the integration that gets the alerts of dead letters, '' for none.

    The manager is notified of dead letters at most once per `interval_s`, and of deliveries older than `lag_s`. Without
    `interval_s` there are no notifications, without `lag_s` none of lagging deliveries.

    The default notifies nobody.
    """

    fallback: str = ""
    interval_s: float | None = None
    lag_s: float | None = None

    @classmethod
    def of(cls, policy: Policy, integration_id: str, fallback: str) -> Self:
        """Return the notifications of a policy. `manager` itself has none, because they would trigger further ones."""
        if integration_id == MANAGER_ID:
            return cls()
        return cls(
            fallback=fallback,
            interval_s=policy.self_alert_interval_s if policy.self_alerts else None,
            lag_s=policy.self_alert_lag_s,
        )

    def settle_arg(self) -> list[str | int]:
        """Return the argument of the script `settle` for notifications."""
        return [_ms(self.interval_s)]

    def reap_args(self) -> list[str | int]:
        """Return the arguments of the script `reap` for notifications."""
        return [_ms(self.interval_s), _ms(self.lag_s)]


NO_NOTIFICATIONS: Final = Notifications()


def _ms(seconds: float | None) -> str | int:
    return "" if seconds is None else round(seconds * 1000)
