"""The metrics of a worker: attempts by outcome, delivery latency and request duration.

Latency buckets: below 1 s is immediate, 10 s means a rate limit, minutes mean backoff, and hours mean an outage that
ended before `retry_max_age` (two days). A call lasts at most `request_timeout` (seconds), or `deadline` (a minute)
for a script, so the request buckets end there.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from common.metrics.factory import counter, gauge, histogram, process_registry
from common.metrics.labels import attempt_pairs
from common.timestamps import written_at_s

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from prometheus_client import Histogram

    from common.ledger import Delivery, Settlement
    from workers.calls import Transport

LATENCY_BUCKETS_S: Final = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 48 * 3600)
REQUEST_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class WorkerMetrics:
    """Records what delivery, transports and maintenance report.

    `now` returns seconds since the epoch, `trace_id` the id of the trace of a delivery, from the ids of integration and
    delivery; None without traces.
    """

    def __init__(
        self, now: Callable[[], float] = time.time, *, trace_id: Callable[[str, str], str] | None = None
    ) -> None:
        self.registry = process_registry()
        self._now, self._trace_id = now, trace_id
        self._attempts = counter("courier_attempts", self.registry)
        self._request_s = histogram("courier_request_seconds", REQUEST_BUCKETS_S, self.registry)
        self._accepted_s = histogram("courier_delivery_latency_seconds", LATENCY_BUCKETS_S, self.registry)
        self._maintained_at_s = gauge("courier_worker_maintenance_timestamp_seconds", self.registry)
        self._serves = gauge("courier_worker_integration_info", self.registry)
        self._messages_dropped = counter("courier_messages_dropped", self.registry)
        self._missing = counter("courier_template_missing", self.registry)
        self._failures = counter("courier_template_failures", self.registry)
        self._attempts_of, self._accepted_s_of = cache(self._attempts.labels), cache(self._accepted_s.labels)

    def init_series(self, ids: Collection[str]) -> None:
        """Create every series of these integrations at zero, so that `increase()` sees the first failure of a kind."""
        self._serves.clear()
        for integration_id in ids:
            self._serves.labels(integration_id).set(1)
            self._request_s.labels(integration_id)
            self._accepted_s.labels(integration_id)
            self._missing.labels(integration_id)
            self._failures.labels(integration_id)
            for outcome, reason in attempt_pairs():
                self._attempts.labels(integration_id, outcome, reason)

    def maintenance_succeeded(self) -> None:
        """Record the time of a successful maintenance run."""
        self._maintained_at_s.set(self._now())

    def message_dropped(self, integration_id: str) -> None:
        """Count a message from Redis that Courier did not write and the worker dropped."""
        self._messages_dropped.labels(integration_id).inc()

    def template_rendered(self, integration_id: str, missing: int, *, failed: bool) -> None:
        """Count the values that an alert lacks for a message or body, and whether a template failed."""
        if missing:
            self._missing.labels(integration_id).inc(missing)
        if failed:
            self._failures.labels(integration_id).inc()

    def record_attempt(self, integration_id: str, delivery: Delivery, settlement: Settlement) -> None:
        """Count a finished attempt. For an accepted delivery, also record the time since the manager wrote the alert.

        With traces, its trace is the exemplar of its bucket. Only a client that asks for OpenMetrics gets exemplars.

        A postponed delivery is not an attempt. A replayed one has no latency: an operator chose its time.
        """
        if settlement.outcome == "postponed":
            return
        self._attempts_of(integration_id, settlement.outcome, settlement.reason).inc()
        if settlement.outcome != "delivered" or delivery.header.replays:
            return
        written_s = written_at_s(delivery.alert)
        if written_s is not None:
            exemplar = {"trace_id": self._trace_id(integration_id, delivery.id)} if self._trace_id else None
            self._accepted_s_of(integration_id).observe(max(0.0, self._now() - written_s), exemplar)

    def wrap_timed(self, integration_id: str, transport: Transport) -> Transport:
        """Return a transport that records the duration of each call of `transport`."""
        return _Timed(transport, self._request_s.labels(integration_id))


class _Timed:
    """A transport that observes the duration of every call, whether or not it fails."""

    def __init__(self, transport: Transport, request_s: Histogram) -> None:
        self._transport, self._request_s = transport, request_s

    async def send(self, call: Any) -> Any:
        """Make the call and record its duration in seconds."""
        with self._request_s.time():
            return await self._transport.send(call)
