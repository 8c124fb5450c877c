"""What the Celery task does: begin, attempt side by side, settle, and release what that made room for."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import TYPE_CHECKING, Final

from common.errors import LedgerDamaged, LedgerError
from common.integration import MANAGER_ID
from common.ledger import Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.broker.dispatcher import Dispatcher
    from common.ledger import Delivery, Ledger, Settled
    from common.settings.schema import Policy
    from workers.delivery.served import ServedIntegration, ServedIntegrations
    from workers.metrics import WorkerMetrics
    from workers.process_identity import ProcessIdentity

SETTLE_INTERVAL_S: Final = 0.1
"""A task's finished deliveries are settled together; the first never waits longer than this for the others."""

SETTLE_RETRY_DELAYS_S: Final = (0.1, 0.5, 1, 2, *[5] * 25)
"""Pauses between tries to settle while Redis is away. After the last one the leases have long expired: it is given up
and the deliveries are attempted again."""

_log = logging.getLogger("courier.worker")
_deliveries = logging.getLogger("courier.delivery")


class DeliveryTask:
    """Runs deliveries in this worker process. `sleep` waits for seconds; it is passed in for tests."""

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        routes: ServedIntegrations,
        *,
        identity: ProcessIdentity,
        sleep: Callable[[float], object],
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._ledger, self._dispatcher, self._routes = ledger, dispatcher, routes
        self._identity, self._sleep, self._metrics = identity, sleep, metrics
        self._in_flight: dict[str, tuple[str, set[str]]] = {}
        self._begun = 0
        self._lock = threading.Lock()

    def counters(self) -> tuple[int, int]:
        """Return how many deliveries this process has begun since it started, and how many it is at now."""
        with self._lock:
            return self._begun, sum(len(ids) for _, ids in self._in_flight.values())

    def deliver(self, integration_id: str, ids: Sequence[str]) -> dict[str, int]:
        """Attempt these deliveries and return how many ended how: what Flower shows as the task's result.

        Never raises for a ledger that is away: what could not be begun or settled comes back when its lease expires.
        """
        route = self._routes.get(integration_id)
        if route is None:
            _log.warning("no such integration here; its deliveries wait", extra={"integration": integration_id})
            return {"unknown": len(ids)}
        token = f"{self._identity}:{uuid.uuid4().hex}"
        try:
            begun = self._ledger.begin(
                integration_id, ids, token=token, lease_s=route.policy.lease_s, limits=route.limits
            )
        except LedgerError as error:
            if not isinstance(error, LedgerDamaged):  # which the ledger has logged, once
                _log.warning("could not begin: %s", error, extra={"integration": integration_id})
            return {"not_begun": len(ids)}
        if not begun:
            return {}
        self._track(token, integration_id, {d.id for d in begun})
        try:
            pending = {route.executor.submit(partial(self._attempt, route, d)): d.id for d in begun}
            return dict(self._settle_as_they_end(integration_id, route, token, pending))
        finally:
            self._track(token, integration_id, set())

    def _attempt(self, route: ServedIntegration, delivery: Delivery) -> Settlement:
        settlement = route.pipeline.attempt(delivery)
        if self._metrics:
            self._metrics.record_attempt(route.integration.id, delivery, settlement)
        return settlement

    def reclaim_leases(self, integration_id: str) -> None:
        """End the leases of workers of this machine that are gone, without waiting for them to run out."""
        held = self._ledger.leases(integration_id)
        holders = {token.partition(":")[0] for token in held.values()}
        gone = set(filter(self._identity.has_exited, holders))  # asked once for each process, not for each delivery
        if orphans := {delivery_id: token for delivery_id, token in held.items() if token.partition(":")[0] in gone}:
            self._ledger.expire(integration_id, orphans)

    def renew(self, integration_id: str, lease_s: float) -> None:
        """Extend the leases of everything that this process is delivering for an integration."""
        with self._lock:
            ours = [(token, ids) for token, (held_for, ids) in self._in_flight.items() if held_for == integration_id]
        if held := {delivery_id: token for token, ids in ours for delivery_id in ids}:
            self._ledger.renew(integration_id, held, lease_s=lease_s)

    def _track(self, token: str, integration_id: str, ids: set[str]) -> None:
        with self._lock:
            if ids:
                self._in_flight[token] = (integration_id, ids)
                self._begun += len(ids)
            else:
                self._in_flight.pop(token, None)

    def _settle_as_they_end(
        self, integration_id: str, route: ServedIntegration, token: str, pending: dict[Future[Settlement], str]
    ) -> Counter[str]:
        """Settle what has ended until nothing is left; what is not under way when a hold begins is returned."""
        counts: Counter[str] = Counter()
        while pending:
            wait(pending, return_when=FIRST_COMPLETED)
            done, _ = wait(pending, timeout=SETTLE_INTERVAL_S if len(pending) > 1 else 0)
            for future in done:
                del pending[future]
            settlements = [future.result() for future in done]
            if self._settle(integration_id, route, token, settlements):
                spared = [future for future in pending if future.cancel()]
                returned = [Settlement(id=pending.pop(future), outcome="returned") for future in spared]
                if returned:
                    self._settle(integration_id, route, token, returned)
                    settlements += returned
            self._dispatch(integration_id, route.policy, route.target, coalesce=integration_id != MANAGER_ID)
            if any(s.events for s in settlements):
                self._dispatch(MANAGER_ID, *self._routes.manager)
            counts.update(s.outcome for s in settlements)
        return counts

    def _settle(self, integration_id: str, route: ServedIntegration, token: str, settlements: list[Settlement]) -> bool:
        """Settle, and return whether something holds the integration back now."""
        held = False
        last_error = next((_describe(s) for s in settlements if s.failed), "")
        last_error_mac = self._routes.signer.sign_error(integration_id, last_error) if last_error else ""
        for tries, pause_s in enumerate((*SETTLE_RETRY_DELAYS_S, None), start=1):
            try:
                settled = self._ledger.settle(
                    integration_id,
                    settlements,
                    token=token,
                    last_error=last_error,
                    last_error_mac=last_error_mac,
                    limits=route.limits,
                    notifications=route.notifications,
                )
            except LedgerError as error:
                if tries == 1 or pause_s is None:
                    what = "could not settle, trying again" if pause_s else "gave up settling; they will be sent again"
                    extra = {"integration": integration_id, "deliveries": len(settlements)}
                    _log.warning("%s: %s", what, error, extra=extra)
                if pause_s is None:
                    return held
                self._sleep(pause_s)
            else:
                self._log_target_state(integration_id, settled, last_error)
                held = settled.is_blocked
                break
        for settlement in settlements:
            _log_settlement(integration_id, settlement)
        return held

    def _log_target_state(self, integration_id: str, settled: Settled, last_error: str) -> None:
        """Log what this settlement has changed: the one worker whose settlement it was tells of it."""
        extra: dict[str, object] = {"integration": integration_id}
        if settled.breaker == "open":
            why = {"until_ms": settled.until_ms, "last_error": last_error}
            _log.error("breaker opened: nothing is sent until one delivery succeeds", extra=extra | why)
        elif settled.breaker == "closed":
            _log.info("the target is well again", extra=extra)
        if settled.paused_until_ms:
            when = {"until_ms": settled.paused_until_ms}
            _log.warning("the target asked for a pause: nothing is sent to it until then", extra=extra | when)

    def _dispatch(self, integration_id: str, policy: Policy, target: str, *, coalesce: bool = False) -> None:
        try:
            self._dispatcher.dispatch(integration_id, policy, target, coalesce=coalesce)
        except LedgerError as error:
            _log.warning("could not release: %s", error, extra={"integration": integration_id})


def _describe(settlement: Settlement) -> str:
    assert settlement.header is not None  # noqa: S101 — the caller looked
    attempt = settlement.header.history[-1]
    return f"{attempt.reason}: {attempt.detail}" if attempt.detail else str(attempt.reason)


_LEVELS: Final = {"retry": logging.WARNING, "dead": logging.ERROR}


def _log_settlement(integration_id: str, settlement: Settlement) -> None:
    level = _LEVELS.get(settlement.outcome, logging.DEBUG)
    if not _deliveries.isEnabledFor(level):
        return
    fields: dict[str, object] = {
        "integration": integration_id,
        "delivery": settlement.id,
        "outcome": settlement.outcome,
        "reason": settlement.reason,
    }
    if settlement.header is None or not settlement.failed:
        _deliveries.log(level, settlement.outcome, extra=fields)
    else:
        fields |= {"attempts": settlement.header.attempts, "delay_ms": settlement.delay_ms}
        _deliveries.log(level, "%s: %s", settlement.outcome, _describe(settlement), extra=fields)
