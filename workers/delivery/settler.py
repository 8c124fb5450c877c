"""Settles deliveries in Redis and releases the next ones.

Redis may be unavailable for long, so the delays between attempts are on the event loop: they occupy no thread, and no
other integration waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from common.errors import LedgerError
from common.integration import MANAGER_ID
from workers.delivery.attempt_log import describe_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from common.broker.dispatcher import Dispatcher
    from common.ledger import Ledger, Settled, Settlement
    from workers.delivery.in_flight import InFlight
    from workers.delivery.served import ServedIntegration, ServedIntegrations

SETTLE_RETRY_DELAYS_S: Final = (0.1, 0.5, 1, 2, *[5] * 25)
"""Delays between attempts to settle while Redis is unavailable. After the last one, two minutes later, the worker
gives up: the leases have expired by then, and the deliveries are attempted again."""

_log = logging.getLogger("courier.worker")


class Settler:
    """Settles deliveries that this process has begun with `token`. `sleep` takes seconds; tests pass their own."""

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        integrations: ServedIntegrations,
        in_flight: InFlight,
        *,
        token: str,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._ledger, self._dispatcher, self._integrations = ledger, dispatcher, integrations
        self._in_flight, self._token, self._sleep = in_flight, token, sleep

    async def settle(self, served: ServedIntegration, settlements: Sequence[Settlement]) -> bool:
        """Settle, release, and return whether a breaker or a pause blocks the integration now. Raises no error.

        What cannot be settled is released again when its lease expires.
        """
        extra = {"integration": served.integration.id, "deliveries": len(settlements)}
        try:
            for attempt, delay_s in enumerate((*SETTLE_RETRY_DELAYS_S, None)):
                try:
                    return await asyncio.to_thread(self._settle_and_release, served, settlements)
                except LedgerError as error:
                    if delay_s is None:
                        _log.warning("settle failed, giving up; the deliveries are sent again: %s", error, extra=extra)
                        break
                    if attempt == 0:
                        _log.warning("settle failed, retrying: %s", error, extra=extra)
                    await self._sleep(delay_s)
        except Exception:  # noqa: BLE001 — the runner must go on with the next ones
            _log.exception("settle failed: internal error; the deliveries are sent again", extra=extra)
        self.give_up(served, (one.id for one in settlements))
        return False

    def give_up(self, served: ServedIntegration, ids: Iterable[str]) -> None:
        """Forget begun deliveries without settling them: they are released again when their leases expire."""
        self._in_flight.remove(served.integration.id, ids)

    def _settle_and_release(self, served: ServedIntegration, settlements: Sequence[Settlement]) -> bool:
        """Settle once, release further deliveries, and return whether the integration is blocked. Blocks."""
        integration_id = served.integration.id
        last_error = next((describe_failure(s) for s in settlements if s.failed), "")
        settled = self._ledger.settle(
            integration_id,
            settlements,
            token=self._token,
            last_error=last_error,
            last_error_mac=self._integrations.signer.sign_error(integration_id, last_error) if last_error else "",
            limits=served.limits,
            notifications=served.notifications,
            release=served.release_target.release_params(coalesce=integration_id != MANAGER_ID),
        )
        # Before the tasks are published: a delivery that comes back at once must not count as in flight.
        self._in_flight.remove(integration_id, (one.id for one in settlements))
        _log_target_state(integration_id, settled, last_error)
        try:
            if settled.tasks:
                self._dispatcher.publish({integration_id: settled.tasks})
            if any(one.events for one in settlements):
                self._dispatcher.dispatch(self._integrations.manager)
        except LedgerError as error:
            _log.warning("release failed: %s", error, extra={"integration": integration_id})
        return settled.is_blocked


def _log_target_state(integration_id: str, settled: Settled, last_error: str) -> None:
    """Log what this settlement changed; only the worker whose settlement changed it logs it."""
    extra: dict[str, object] = {"integration": integration_id}
    if settled.breaker == "open":
        fields = {"until_ms": settled.until_ms, "last_error": last_error}
        _log.error("circuit breaker opened", extra=extra | fields)
    elif settled.breaker == "closed":
        _log.info("circuit breaker closed", extra=extra)
    if settled.paused_until_ms:
        _log.warning("target requested a pause", extra=extra | {"until_ms": settled.paused_until_ms})
