"""Who else hears of it when deliveries die, the breaker opens or what waits grows old: the fallback and the manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from common.integration import MANAGER_ID

if TYPE_CHECKING:
    from common.settings.schema import Policy


class Notifications(msgspec.Struct, frozen=True, kw_only=True):
    """`fallback` is the integration that gets the alerts of dead letters, empty for none.

    The manager is told of dead letters at most once in `interval_s`, and of what is older than `lag_s`. Without
    `interval_s` it is told nothing, without `lag_s` nothing of age.

    The default tells nobody.
    """

    fallback: str = ""
    interval_s: float | None = None
    lag_s: float | None = None

    @classmethod
    def of(cls, policy: Policy, integration_id: str, fallback: str) -> Self:
        """Return what a policy asks for; `manager` tells nobody of itself, since that could not end."""
        if integration_id == MANAGER_ID:
            return cls()
        return cls(
            fallback=fallback,
            interval_s=policy.self_alert_interval_s if policy.self_alerts else None,
            lag_s=policy.self_alert_lag_s,
        )

    def settle_arg(self) -> list[str | int]:
        """Return the argument of the script `settle` that is about this."""
        return [_ms(self.interval_s)]

    def reap_args(self) -> list[str | int]:
        """Return the arguments of the script `reap` that are about this."""
        return [_ms(self.interval_s), _ms(self.lag_s)]


NO_NOTIFICATIONS: Final = Notifications()


def _ms(seconds: float | None) -> str | int:
    return "" if seconds is None else round(seconds * 1000)
