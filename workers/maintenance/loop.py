"""Runs once a second in every worker: follow the registry, renew leases, reap, release, check and report.

Between two runs it releases deliveries of integrations whose token bucket is so small (`10/s burst 1`) that it would
overflow within a second.

It has its own thread, because Celery's event loop can stall after a reconnect and must not be blocked by Redis.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from common.errors import CourierError, LedgerDamaged, SettingsError
from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from common.broker.dispatcher import Dispatcher
    from workers.celery_worker.watchdog import Watchdog
    from workers.delivery.served import ServedIntegration, ServedIntegrations
    from workers.delivery.task import DeliveryTask
    from workers.maintenance.heartbeat import Heartbeat
    from workers.maintenance.retention import Retention
    from workers.metrics import WorkerMetrics

INTERVAL_S: Final = 1.0

FULL_SCAN_EVERY: Final = 15
"""Every 15th run, and the first one after a start, covers all integrations and reclaims the leases of exited workers.
The other runs skip integrations without waiting or released deliveries; one query finds them all."""

_log = logging.getLogger("courier.worker")


class Maintenance:
    """The maintenance run and the thread that repeats it.

    `set_queues` gets the ids to consume in every run: Celery may apply a change that it gets during a reconnect late
    or never. `retry_hooks` need no Redis and run first: retries of what the system refused, such as a thread, and
    checks. `on_fatal` gets, once, the reason why the registry is no longer readable, and stops the worker; maintenance
    goes on for the deliveries in flight.
    """

    def __init__(
        self,
        integrations: ServedIntegrations,
        dispatcher: Dispatcher,
        task: DeliveryTask,
        set_queues: Callable[[set[str]], None],
        *,
        watchdog: Watchdog,
        heartbeat: Heartbeat,
        retention: Retention,
        on_fatal: Callable[[SettingsError], object],
        retry_hooks: Sequence[Callable[[], object]] = (),
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._heartbeat, self._retention, self._retry_hooks = heartbeat, retention, retry_hooks
        self._integrations, self._dispatcher, self._task = integrations, dispatcher, task
        self._set_queues, self._watchdog, self._metrics = set_queues, watchdog, metrics
        self._on_fatal = on_fatal
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
        self._failure = Condition(_log)
        self._runs = 0
        self._ending = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after its current run, within 5 s. Leases that are still held are no longer renewed."""
        self._stop.set()
        self._thread.join(timeout=5)

    def run_once(self) -> None:
        """Run once. Raises LedgerUnavailable or LedgerMisconfigured; the next run repeats everything."""
        for retry in self._retry_hooks:
            retry()
        changed = self._refresh()
        ids = self._integrations.ids()
        if changed and self._metrics:
            self._metrics.init_series(ids)
        self._set_queues(ids)
        full_scan = self._runs % FULL_SCAN_EVERY == 0
        occupied = ids if changed or full_scan else self._dispatcher.non_empty(ids)
        integrations = self._integrations.all()
        if busy := {one.integration.id: one for one in integrations if one.integration.id in occupied}:
            self._maintain(busy, reclaim=full_scan)
        for served in integrations:
            with suppress(LedgerDamaged):
                self._retention.run(served.integration.id, served.policy, self._runs)
        queued = self._heartbeat.publish(self._integrations.ids(), self._integrations.config_error)
        self._watchdog.check(queued)
        self._runs += 1
        if self._metrics:
            self._metrics.maintenance_succeeded()

    def _refresh(self) -> bool:
        """Load the registry if it changed and return whether it did. Once its key has changed, do nothing."""
        if self._ending:
            return False
        try:
            return self._integrations.refresh()
        except SettingsError as error:
            self._ending = True
            _log.error("worker stopping: %s", error)
            self._on_fatal(error)
            return False

    def _maintain(self, integrations: Mapping[str, ServedIntegration], *, reclaim: bool) -> None:
        """Renew, reap and release for all integrations together: one by one, a flood over 100 took 100 ms of CPU."""
        for integration_id, served in integrations.items():
            with suppress(LedgerDamaged):  # logged by the ledger; the others go on
                self._task.renew(integration_id, served.policy.lease_s)
                if reclaim:
                    self._task.reclaim_leases(integration_id)
        # Reap before the release: deliveries that come back are released in the same run.
        reaped = self._dispatcher.reap({i: (served.policy, served.notifications) for i, served in integrations.items()})
        for integration_id, found in reaped.items():
            if found.lost or found.dead:
                _log.warning(
                    "leases expired; deliveries released again",
                    extra={"integration": integration_id, "lost": found.lost, "dead": found.dead},
                )
        self._dispatcher.dispatch_all([served.release_target for served in integrations.values()], coalesce=True)

    def tick(self) -> None:
        """Release where a bucket fills in less than a second. Raises LedgerUnavailable or LedgerMisconfigured."""
        for served in self._integrations.all():
            if served.limits.tick_s < INTERVAL_S:
                self._dispatcher.dispatch(served.release_target)

    def _run(self) -> None:
        elapsed_s = 0.0
        while not self._stop.wait(tick_s := self._tick_s()):
            elapsed_s += tick_s
            try:
                if elapsed_s < INTERVAL_S:
                    self.tick()
                else:
                    elapsed_s = 0.0
                    self.run_once()
            except CourierError as error:
                self._watchdog.reset()
                self._heartbeat.failed(error)
                self._failure.set(f"maintenance failed, retrying every second: {error}")
            except Exception:  # noqa: BLE001 — the thread must survive: without it nothing is renewed or released
                _log.exception("maintenance failed: internal error")
            else:
                self._failure.clear("maintenance recovered")

    def _tick_s(self) -> float:
        return min((served.limits.tick_s for served in self._integrations.all()), default=INTERVAL_S)
