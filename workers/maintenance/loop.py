"""What every worker does once a second, beside its deliveries: renew, reap, release, follow the registry, tell.

In between it releases what has a bucket so small (`10/s burst 1`) that it would overflow in a second.

A thread of its own, because Celery's event loop can be deaf after a reconnect and must not be held up by Redis either.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from common.broker.dispatcher import Dispatcher, ReleaseTarget
from common.errors import CourierError, LedgerDamaged, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workers.celery_worker.watchdog import Watchdog
    from workers.delivery.served import ServedIntegration, ServedIntegrations
    from workers.delivery.task import DeliveryTask
    from workers.maintenance.heartbeat import Heartbeat
    from workers.maintenance.retention import Retention
    from workers.metrics import WorkerMetrics

INTERVAL_S: Final = 1.0

FULL_SCAN_EVERY: Final = 15
"""Rounds between two that look at every integration, and at who holds the leases: a worker that is started again takes
such a look at once. In between an integration of which nothing waits or is released costs one question among all."""

_log = logging.getLogger("courier.worker")


class Maintenance:
    """The round, and the thread that repeats it. `on_queues` is told the ids to consume, every time.

    A change that is told while Celery reconnects can be carried out later than the next one, or never. `looks` need no
    Redis and come first in each round: they try again what the system refused, such as a thread. `give_up` is told,
    once, why the registry cannot be read any more: it ends the worker, while the rounds go on for what is being sent.
    """

    def __init__(
        self,
        routes: ServedIntegrations,
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
        self._routes, self._dispatcher, self._task = routes, dispatcher, task
        self._set_queues, self._watchdog, self._metrics = set_queues, watchdog, metrics
        self._on_fatal = on_fatal
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._error = ""
        self._rounds = 0
        self._ending = False

    def start(self) -> None:
        """Begin to do a round every second."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round under way; leases that are still held are not renewed any more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def run_once(self) -> None:
        """Do one round. Raises LedgerUnavailable or LedgerMisconfigured; the next round does it all again."""
        for try_again in self._retry_hooks:
            try_again()
        changed = self._refresh()
        ids = self._routes.ids()
        if changed and self._metrics:
            self._metrics.init_series(ids)
        self._set_queues(ids)
        look = self._rounds % FULL_SCAN_EVERY == 0
        occupied = ids if changed or look else self._dispatcher.non_empty(ids)
        routes = {i: route for i in ids if (route := self._routes.get(i))}
        if busy := {i: route for i, route in routes.items() if i in occupied}:
            self._maintain(busy, bring_back=look)
        for integration_id, route in routes.items():
            with suppress(LedgerDamaged):
                self._retention.run(integration_id, route.policy, self._rounds)
        self._watchdog.check()
        self._heartbeat.publish(self._routes.ids())
        self._rounds += 1
        if self._metrics:
            self._metrics.maintenance_succeeded()

    def _refresh(self) -> bool:
        """Take over what was published and return whether it changed; nothing more, once it has another key."""
        if self._ending:
            return False
        try:
            return self._routes.refresh()
        except SettingsError as error:
            self._ending = True
            _log.error("ending: %s", error)
            self._on_fatal(error)
            return False

    def _maintain(self, routes: Mapping[str, ServedIntegration], *, bring_back: bool) -> None:
        """Do it for all of them at once: in a flood over 100 integrations one after the other took 100 ms of CPU."""
        for integration_id, route in routes.items():
            with suppress(LedgerDamaged):  # logged by the ledger; the others go on
                self._task.renew(integration_id, route.policy.lease_s)
                if bring_back:
                    self._task.reclaim_leases(integration_id)
        reaped = self._dispatcher.reap({i: (route.policy, route.notifications) for i, route in routes.items()})
        for integration_id, found in reaped.items():
            if found.lost or found.dead:
                _log.warning(
                    "deliveries were lost with their worker and are released again",
                    extra={"integration": integration_id, "lost": found.lost, "dead": found.dead},
                )
        outlets = [ReleaseTarget(i, route.policy, route.target) for i, route in routes.items()]
        self._dispatcher.dispatch_all(outlets, coalesce=True)

    def tick(self) -> None:
        """Release where tokens come faster than rounds. Raises LedgerUnavailable or LedgerMisconfigured."""
        for integration_id in self._routes.ids():
            route = self._routes.get(integration_id)
            if route is not None and route.limits.tick_s < INTERVAL_S:
                self._dispatcher.dispatch(integration_id, route.policy, route.target)

    def _run(self) -> None:
        passed_s = 0.0
        while not self._stop.wait(tick_s := self._tick_s()):
            passed_s += tick_s
            try:
                if passed_s < INTERVAL_S:
                    self.tick()
                else:
                    passed_s = 0.0
                    self.run_once()
            except CourierError as error:
                self._watchdog.reset()
                self._log_once(str(error))
            except Exception:  # noqa: BLE001 — the thread must live: without it nothing is renewed or released
                _log.exception("the housekeeping failed inside Courier")
            else:
                self._log_once("")

    def _tick_s(self) -> float:
        routes = [self._routes.get(integration_id) for integration_id in self._routes.ids()]
        return min((route.limits.tick_s for route in routes if route is not None), default=INTERVAL_S)

    def _log_once(self, trouble: str) -> None:
        if trouble and trouble != self._error:
            _log.warning("%s; trying again every second", trouble)
        elif self._error and not trouble:
            _log.info("all well again after: %s", self._error)
        self._error = trouble
