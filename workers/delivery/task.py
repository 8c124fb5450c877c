"""The Celery task: begin deliveries, hand them to the event loop, and wait until all have ended.

A process has one lease token. So it begins no delivery that it still attempts (`InFlight.new`): two attempts at one
delivery could not be told apart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from common.delivery_test import is_test
from common.errors import LedgerError
from common.ledger import Begin
from common.logs import DeliveryLog
from workers.delivery.attempt_log import AttemptLog
from workers.delivery.history_facts import facts_of
from workers.delivery.in_flight import InFlight
from workers.delivery.runner import Batch, Runner
from workers.delivery.settlements import Settlements
from workers.delivery.settler import Settler
from workers.delivery.test_attempt import TestAttempts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from common.broker.dispatcher import Dispatcher
    from common.ledger import Delivery, Ledger, Settlement
    from workers.delivery.event_loop import EventLoop
    from workers.delivery.served import ServedIntegration, ServedIntegrations
    from workers.metrics import WorkerMetrics
    from workers.process_identity import ProcessIdentity

AttemptFunction: TypeAlias = "Callable[[ServedIntegration, Delivery], Awaitable[Settlement]]"

_log = logging.getLogger("courier.worker")


class DeliveryTask:
    """Makes deliveries in this worker process. `sleep` takes seconds; tests pass their own.

    `worker` is the name for the history, NAME@HOST. `monotonic` returns seconds, to measure the duration of attempts.
    `stop_scripts` kills the scripts of workers of this machine that have exited.
    """

    def __init__(
        self,
        ledger: Ledger,
        dispatcher: Dispatcher,
        integrations: ServedIntegrations,
        loop: EventLoop,
        *,
        identity: ProcessIdentity,
        worker: str = "",
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        metrics: WorkerMetrics | None = None,
        tests: TestAttempts | None = None,
        log: DeliveryLog = DeliveryLog.FAILED,
        trace: Callable[[AttemptFunction], AttemptFunction] | None = None,
        stop_scripts: Callable[[], object] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker, self._monotonic, self._stop_scripts = worker, monotonic, stop_scripts
        self._ledger, self._integrations, self._loop = ledger, integrations, loop
        self._identity, self._token, self._metrics = identity, str(identity), metrics
        self._attempt_log = AttemptLog(log)
        self._traced_attempt = trace(self._attempt) if trace else self._attempt
        self._in_flight, self._tests = InFlight(), tests or TestAttempts()
        self._settler = Settler(ledger, dispatcher, integrations, self._in_flight, token=self._token, sleep=sleep)
        self._settlements = Settlements(self._settler)
        self._runners: dict[str, Runner] = {}

    def counters(self) -> tuple[int, int]:
        """Return the number of deliveries begun since this process started, and of those in flight."""
        return self._in_flight.counters()

    def deliver(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """Attempt deliveries, ids by integration. Return their number by outcome, which Flower shows as the result.

        Never raises LedgerError: a delivery that could not be begun or settled is released again when its lease
        expires.
        """
        counts: Counter[str] = Counter()
        served: dict[str, ServedIntegration] = {}
        for integration_id, ids in wanted.items():
            if one := self._integrations.get(integration_id):
                served[integration_id] = one
                continue
            _log.warning(
                "integration not served by this worker; its deliveries stay queued",
                extra={"integration": integration_id},
            )
            counts["unknown"] += len(ids)
        begun = self._begin(served, wanted)
        counts["not_begun"] = sum(len(wanted[i]) for i in served.keys() - begun.keys())
        started = [(served[i], deliveries) for i, deliveries in begun.items() if deliveries]
        if started:
            batch = Batch(sum(len(deliveries) for _, deliveries in started))
            self._loop.call_soon(self._start, started, batch)
            counts.update(batch.wait())
        return dict(+counts)

    def _begin(
        self, served: Mapping[str, ServedIntegration], wanted: Mapping[str, Sequence[str]]
    ) -> dict[str, list[Delivery]]:
        """Return the deliveries that this process may attempt, without integrations for which that is unknown."""
        begun: dict[str, list[Delivery]] = {}
        terms: dict[str, Begin] = {}
        for integration_id, one in served.items():
            if ids := self._in_flight.new(integration_id, wanted[integration_id]):
                terms[integration_id] = Begin(ids=ids, lease_s=one.policy.lease_s, limits=one.limits)
            else:
                begun[integration_id] = []
        try:
            found = self._ledger.begin_all(terms, token=self._token) if terms else {}
        except LedgerError as error:
            _log.warning("begin failed: %s", error, extra={"integrations": list(terms)})
            return begun
        for integration_id, deliveries in found.items():
            self._in_flight.add(integration_id, [one.id for one in deliveries])
        return begun | found

    def _start(self, started: Sequence[tuple[ServedIntegration, Sequence[Delivery]]], batch: Batch) -> None:
        """Start the attempts. Runs on the event loop."""
        for served, deliveries in started:
            integration_id = served.integration.id
            if integration_id not in self._runners:
                self._runners[integration_id] = Runner(self._settler, self._settlements, self._traced_attempt)
            self._runners[integration_id].start(served, batch, deliveries)

    async def _attempt(self, served: ServedIntegration, delivery: Delivery) -> Settlement:
        began_s = self._monotonic()
        if is_test(delivery.id):
            settlement = await self._tests.attempt(served, delivery)
        else:
            settlement = await served.pipeline.attempt(delivery)
        duration_s = self._monotonic() - began_s
        self._attempt_log.record(served.integration.id, delivery, settlement, duration_s)
        if settlement.ends and served.policy.history_max:
            facts = facts_of(delivery, settlement, worker=self._worker, attempt_ms=round(1000 * duration_s))
            settlement = msgspec.structs.replace(settlement, facts=facts)
        if self._metrics:
            self._metrics.record_attempt(served.integration.id, delivery, settlement)
        return settlement

    def reclaim_leases(self, integration_id: str) -> None:
        """Expire the leases of workers of this machine that have exited, instead of waiting for the lease time."""
        held = self._ledger.leases(integration_id)
        holders = {token.partition(":")[0] for token in held.values()}
        exited = set(filter(self._identity.has_exited, holders))  # checked once per process, not per delivery
        if orphans := {delivery_id: token for delivery_id, token in held.items() if token.partition(":")[0] in exited}:
            self._stop_scripts()  # first, so that none still runs beside its retry
            self._ledger.expire(integration_id, orphans)

    def renew(self, integration_id: str, lease_s: float) -> None:
        """Renew the leases of all deliveries of an integration that this process has in flight."""
        if ids := self._in_flight.ids(integration_id):
            self._ledger.renew(integration_id, dict.fromkeys(ids, self._token), lease_s=lease_s)
