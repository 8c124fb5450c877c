"""The Celery task: begin deliveries, attempt them concurrently, settle them, and release the next ones."""

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

    from common.broker.dispatcher import Dispatcher, ReleaseTarget
    from common.ledger import Delivery, Ledger, Settled
    from workers.delivery.served import ServedIntegration, ServedIntegrations
    from workers.metrics import WorkerMetrics
    from workers.process_identity import ProcessIdentity

SETTLE_INTERVAL_S: Final = 0.1
"""Finished deliveries of a task are settled together; the first one waits at most this long for the others."""

SETTLE_RETRY_DELAYS_S: Final = (0.1, 0.5, 1, 2, *[5] * 25)
"""Delays between attempts to settle while Redis is unavailable. After the last one, two minutes later, the worker
gives up: the leases have expired by then, and the deliveries are attempted again."""

_log = logging.getLogger("courier.worker")
_deliveries = logging.getLogger("courier.delivery")


class DeliveryTask:
    """Makes deliveries in this worker process. `sleep` takes seconds; tests pass their own."""

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        integrations: ServedIntegrations,
        *,
        identity: ProcessIdentity,
        sleep: Callable[[float], object],
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._ledger, self._dispatcher, self._integrations = ledger, dispatcher, integrations
        self._identity, self._sleep, self._metrics = identity, sleep, metrics
        self._in_flight: dict[str, tuple[str, set[str]]] = {}
        self._begun = 0
        self._lock = threading.Lock()

    def counters(self) -> tuple[int, int]:
        """Return the number of deliveries begun since this process started, and of those in flight."""
        with self._lock:
            return self._begun, sum(len(ids) for _, ids in self._in_flight.values())

    def deliver(self, integration_id: str, ids: Sequence[str]) -> dict[str, int]:
        """Attempt these deliveries and return their number by outcome, which Flower shows as the task's result.

        Never raises LedgerError: a delivery that could not be begun or settled is released again when its lease
        expires.
        """
        served = self._integrations.get(integration_id)
        if served is None:
            _log.warning(
                "integration not served by this worker; its deliveries stay queued",
                extra={"integration": integration_id},
            )
            return {"unknown": len(ids)}
        token = f"{self._identity}:{uuid.uuid4().hex}"
        try:
            begun = self._ledger.begin(
                integration_id, ids, token=token, lease_s=served.policy.lease_s, limits=served.limits
            )
        except LedgerError as error:
            if not isinstance(error, LedgerDamaged):  # the ledger has logged that already, once
                _log.warning("begin failed: %s", error, extra={"integration": integration_id})
            return {"not_begun": len(ids)}
        if not begun:
            return {}
        self._track(token, integration_id, {d.id for d in begun})
        try:
            pending = {served.executor.submit(partial(self._attempt, served, d)): d.id for d in begun}
            return dict(self._settle_as_they_end(integration_id, served, token, pending))
        finally:
            self._track(token, integration_id, set())

    def _attempt(self, served: ServedIntegration, delivery: Delivery) -> Settlement:
        settlement = served.pipeline.attempt(delivery)
        if self._metrics:
            self._metrics.record_attempt(served.integration.id, delivery, settlement)
        return settlement

    def reclaim_leases(self, integration_id: str) -> None:
        """Expire the leases of workers of this machine that have exited, instead of waiting for the lease time."""
        held = self._ledger.leases(integration_id)
        holders = {token.partition(":")[0] for token in held.values()}
        exited = set(filter(self._identity.has_exited, holders))  # checked once per process, not per delivery
        if orphans := {delivery_id: token for delivery_id, token in held.items() if token.partition(":")[0] in exited}:
            self._ledger.expire(integration_id, orphans)

    def renew(self, integration_id: str, lease_s: float) -> None:
        """Renew the leases of all deliveries of an integration that this process has in flight."""
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
        self, integration_id: str, served: ServedIntegration, token: str, pending: dict[Future[Settlement], str]
    ) -> Counter[str]:
        """Settle finished deliveries until none is left; return those not yet started if the integration is blocked."""
        counts: Counter[str] = Counter()
        while pending:
            wait(pending, return_when=FIRST_COMPLETED)
            done, _ = wait(pending, timeout=SETTLE_INTERVAL_S if len(pending) > 1 else 0)
            for future in done:
                del pending[future]
            settlements = [future.result() for future in done]
            if self._settle(integration_id, served, token, settlements):
                # A breaker or a pause: `cancel` succeeds only for calls that no thread has started.
                cancelled = [future for future in pending if future.cancel()]
                returned = [Settlement(id=pending.pop(future), outcome="returned") for future in cancelled]
                if returned:
                    self._settle(integration_id, served, token, returned)
                    settlements += returned
            self._dispatch(served.release_target, coalesce=integration_id != MANAGER_ID)
            if any(s.events for s in settlements):
                self._dispatch(self._integrations.manager)
            counts.update(s.outcome for s in settlements)
        return counts

    def _settle(
        self, integration_id: str, served: ServedIntegration, token: str, settlements: list[Settlement]
    ) -> bool:
        """Settle, and return whether a breaker or pause blocks the integration now."""
        is_blocked = False
        last_error = next((_describe(s) for s in settlements if s.failed), "")
        last_error_mac = self._integrations.signer.sign_error(integration_id, last_error) if last_error else ""
        for attempt, delay_s in enumerate((*SETTLE_RETRY_DELAYS_S, None), start=1):
            try:
                settled = self._ledger.settle(
                    integration_id,
                    settlements,
                    token=token,
                    last_error=last_error,
                    last_error_mac=last_error_mac,
                    limits=served.limits,
                    notifications=served.notifications,
                )
            except LedgerError as error:
                if attempt == 1 or delay_s is None:
                    message = (
                        "settle failed, retrying"
                        if delay_s
                        else "settle failed, giving up; the deliveries are sent again"
                    )
                    extra = {"integration": integration_id, "deliveries": len(settlements)}
                    _log.warning("%s: %s", message, error, extra=extra)
                if delay_s is None:
                    return is_blocked
                self._sleep(delay_s)
            else:
                self._log_target_state(integration_id, settled, last_error)
                is_blocked = settled.is_blocked
                break
        for settlement in settlements:
            _log_settlement(integration_id, settlement)
        return is_blocked

    def _log_target_state(self, integration_id: str, settled: Settled, last_error: str) -> None:
        """Log what this settlement changed; only the worker whose settlement changed it logs it."""
        extra: dict[str, object] = {"integration": integration_id}
        if settled.breaker == "open":
            fields = {"until_ms": settled.until_ms, "last_error": last_error}
            _log.error("circuit breaker opened", extra=extra | fields)
        elif settled.breaker == "closed":
            _log.info("circuit breaker closed", extra=extra)
        if settled.paused_until_ms:
            fields = {"until_ms": settled.paused_until_ms}
            _log.warning("target requested a pause", extra=extra | fields)

    def _dispatch(self, target: ReleaseTarget, *, coalesce: bool = False) -> None:
        try:
            self._dispatcher.dispatch(target, coalesce=coalesce)
        except LedgerError as error:
            _log.warning("release failed: %s", error, extra={"integration": target.integration_id})


def _describe(settlement: Settlement) -> str:
    assert settlement.header is not None  # noqa: S101 — a failed settlement has one
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
