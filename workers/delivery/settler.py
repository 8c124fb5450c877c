"""Settles deliveries in Redis and releases the next ones.

Redis may be unavailable for long, so the delays between attempts are on the event loop: they occupy no thread, and no
other integration waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from common.errors import LedgerDamaged, LedgerError
from common.integration import MANAGER_ID
from common.ledger import Settle
from workers.delivery.attempt_log import describe_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from common.broker.dispatcher import Dispatcher, ReleaseTarget
    from common.ledger import Ledger, Settled, Settlement
    from workers.delivery.in_flight import InFlight
    from workers.delivery.served import ServedIntegration, ServedIntegrations

    Ended = tuple[ServedIntegration, Sequence[Settlement]]

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
        self._backlogged: set[str] = set()  # integrations with waiting deliveries after their last settlement

    async def settle_together(self, ended: Sequence[Ended]) -> list[bool | None]:
        """Try once to settle several integrations in one round trip, and release. Raises no error.

        Return for each one what `settle` returns, None if it is not settled: call `settle` for those.
        """
        try:
            results = await asyncio.to_thread(self._settle_and_release, ended)
        except LedgerError:
            return [None] * len(ended)
        except Exception:  # noqa: BLE001 — an internal error that one of them causes must not cost the others
            _log.exception("settling several integrations together failed: internal error; settling each by itself")
            return [None] * len(ended)
        return [None if isinstance(result, LedgerDamaged) else result.is_blocked for result in results]

    async def settle(self, served: ServedIntegration, settlements: Sequence[Settlement]) -> bool:
        """Settle, release, and return whether a breaker or a pause blocks the integration now. Raises no error.

        What cannot be settled is released again when its lease expires.
        """
        extra = {"integration": served.integration.id, "deliveries": len(settlements)}
        try:
            for attempt, delay_s in enumerate((*SETTLE_RETRY_DELAYS_S, None)):
                try:
                    return await asyncio.to_thread(self._settle_alone, (served, settlements))
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

    def _settle_and_release(self, ended: Sequence[Ended]) -> list[Settled | LedgerDamaged]:
        """Settle once and release further deliveries. Blocks."""
        wanted = {served.integration.id: self._terms(served, settlements) for served, settlements in ended}
        results = self._ledger.settle_all(wanted, token=self._token)
        tasks: dict[str, list[list[str]]] = {}
        targets: dict[str, ReleaseTarget] = {}
        for served, settlements in ended:
            integration_id = served.integration.id
            settled = results[integration_id]
            if isinstance(settled, LedgerDamaged):
                continue
            # Before the tasks are published: a delivery that comes back at once must not count as in flight.
            self._in_flight.remove(integration_id, (one.id for one in settlements))
            _log_target_state(integration_id, settled, wanted[integration_id].last_error)
            if settled.tasks:
                tasks[integration_id] = settled.tasks
            if not settled.is_waiting:
                self._backlogged.discard(integration_id)
            elif integration_id not in self._backlogged:
                self._backlogged.add(integration_id)
                targets[integration_id] = served.release_target
            if any(one.events for one in settlements):
                targets[MANAGER_ID] = self._integrations.manager
        self._release(tasks, targets)
        return [results[served.integration.id] for served, _ in ended]

    def _settle_alone(self, ended: Ended) -> bool:
        """Return whether the integration is blocked now. Raises LedgerError."""
        (result,) = self._settle_and_release([ended])
        if isinstance(result, LedgerDamaged):
            raise result
        return result.is_blocked

    def _terms(self, served: ServedIntegration, settlements: Sequence[Settlement]) -> Settle:
        """Return what to settle, and with a backlog what to release; without one nothing is left to release."""
        integration_id = served.integration.id
        last_error = next((describe_failure(s) for s in settlements if s.failed), "")
        is_backlogged = integration_id in self._backlogged
        return Settle(
            settlements=settlements,
            last_error=last_error,
            last_error_mac=self._integrations.signer.sign_error(integration_id, last_error) if last_error else "",
            limits=served.limits,
            notifications=served.notifications,
            release=served.release_target.release_params(coalesce=True) if is_backlogged else None,
        )

    def _release(self, tasks: Mapping[str, list[list[str]]], targets: Mapping[str, ReleaseTarget]) -> None:
        """Publish what the settlement released, and release for `targets`."""
        try:
            if tasks:
                self._dispatcher.publish(tasks)
            if targets:
                self._dispatcher.dispatch_all(list(targets.values()), coalesce=True)
        except LedgerError as error:
            _log.warning("release failed: %s", error, extra={"integrations": [*tasks, *targets]})


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
