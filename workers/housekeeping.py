"""What every worker does once a second, beside its deliveries: renew, reap, release, follow the registry, tell.

In between it releases what has a bucket so small (`10/s burst 1`) that it would overflow in a second.

A thread of its own, because Celery's event loop can be deaf after a reconnect and must not be held up by Redis either.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from common.dispatch import Dispatcher, ReleaseTarget
from common.errors import CourierError, LedgerDamaged, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workers.deliverer import Deliverer
    from workers.heartbeat import Heartbeat
    from workers.metrics import WorkerMetrics
    from workers.retention import Retention
    from workers.routes import Route, Routes
    from workers.watchdog import Watchdog

EVERY_S: Final = 1.0

LOOK_EVERY: Final = 15
"""Rounds between two that look at every integration, and at who holds the leases: a worker that is started again takes
such a look at once. In between an integration of which nothing waits or is released costs one question among all."""

_log = logging.getLogger("courier.worker")


class Housekeeping:
    """The round, and the thread that repeats it. `on_queues` is told the ids to consume, every time.

    A change that is told while Celery reconnects can be carried out later than the next one, or never. `looks` need no
    Redis and come first in each round: they try again what the system refused, such as a thread. `give_up` is told,
    once, why the registry cannot be read any more: it ends the worker, while the rounds go on for what is being sent.
    """

    def __init__(
        self,
        routes: Routes,
        dispatcher: Dispatcher,
        deliverer: Deliverer,
        on_queues: Callable[[set[str]], None],
        *,
        watchdog: Watchdog,
        heartbeat: Heartbeat,
        retention: Retention,
        give_up: Callable[[SettingsError], object],
        looks: Sequence[Callable[[], object]] = (),
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._heartbeat, self._retention, self._looks = heartbeat, retention, looks
        self._routes, self._dispatcher, self._deliverer = routes, dispatcher, deliverer
        self._on_queues, self._watchdog, self._metrics = on_queues, watchdog, metrics
        self._give_up = give_up
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._trouble = ""
        self._rounds = 0
        self._ending = False

    def start(self) -> None:
        """Begin to do a round every second."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round under way; leases that are still held are not renewed any more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def round(self) -> None:
        """Do one round. Raises LedgerUnavailable or LedgerUnfit; the next round does it all again."""
        for try_again in self._looks:
            try_again()
        changed = self._follow()
        ids = self._routes.ids()
        if changed and self._metrics:
            self._metrics.serves(ids)
        self._on_queues(ids)
        look = self._rounds % LOOK_EVERY == 0
        occupied = ids if changed or look else self._dispatcher.non_empty(ids)
        routes = {i: route for i in ids if (route := self._routes.get(i))}
        if busy := {i: route for i, route in routes.items() if i in occupied}:
            self._look_after(busy, bring_back=look)
        for integration_id, route in routes.items():
            with suppress(LedgerDamaged):
                self._retention.look(integration_id, route.policy, self._rounds)
        self._watchdog.look()
        self._heartbeat.tell(self._routes.ids())
        self._rounds += 1
        if self._metrics:
            self._metrics.went_round()

    def _follow(self) -> bool:
        """Take over what was published and return whether it changed; nothing more, once it has another key."""
        if self._ending:
            return False
        try:
            return self._routes.refresh()
        except SettingsError as error:
            self._ending = True
            _log.error("ending: %s", error)
            self._give_up(error)
            return False

    def _look_after(self, routes: Mapping[str, Route], *, bring_back: bool) -> None:
        """Do it for all of them at once: in a flood over 100 integrations one after the other took 100 ms of CPU."""
        for integration_id, route in routes.items():
            with suppress(LedgerDamaged):  # logged by the ledger; the others go on
                self._deliverer.renew(integration_id, route.policy.lease_s)
                if bring_back:
                    self._deliverer.bring_back(integration_id)
        reaped = self._dispatcher.reap({i: (route.policy, route.telling) for i, route in routes.items()})
        for integration_id, found in reaped.items():
            if found.lost or found.dead:
                _log.warning(
                    "deliveries were lost with their worker and are released again",
                    extra={"integration": integration_id, "lost": found.lost, "dead": found.dead},
                )
        outlets = [ReleaseTarget(i, route.policy, route.target) for i, route in routes.items()]
        self._dispatcher.dispatch_all(outlets, coalesce=True)

    def tick(self) -> None:
        """Release where tokens come faster than rounds. Raises LedgerUnavailable or LedgerUnfit."""
        for integration_id in self._routes.ids():
            route = self._routes.get(integration_id)
            if route is not None and route.pace.tick_s < EVERY_S:
                self._dispatcher.dispatch(integration_id, route.policy, route.target)

    def _run(self) -> None:
        passed_s = 0.0
        while not self._stop.wait(tick_s := self._tick_s()):
            passed_s += tick_s
            try:
                if passed_s < EVERY_S:
                    self.tick()
                else:
                    passed_s = 0.0
                    self.round()
            except CourierError as error:
                self._watchdog.rest()
                self._tell_once(str(error))
            except Exception:  # noqa: BLE001 — the thread must live: without it nothing is renewed or released
                _log.exception("the housekeeping failed inside Courier")
            else:
                self._tell_once("")

    def _tick_s(self) -> float:
        routes = [self._routes.get(integration_id) for integration_id in self._routes.ids()]
        return min((route.pace.tick_s for route in routes if route is not None), default=EVERY_S)

    def _tell_once(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("%s; trying again every second", trouble)
        elif self._trouble and not trouble:
            _log.info("all well again after: %s", self._trouble)
        self._trouble = trouble
