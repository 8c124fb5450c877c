"""The producer's own metrics, which are available even while Redis is not (the exporter reads Redis)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from common.metrics.factory import counter, gauge, process_registry
from common.reports.producer import EXCEPTED, REJECTED, WRONG_TYPE
from producer.filters.decode import FilterField, RejectReason
from producer.source import LossReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from common.reports.producer import IntegrationLag

REJECT_REASONS: Final = (*RejectReason, *LossReason)
"""Every reason for which a line or a range of the log is rejected."""


class ProducerMetrics:
    """Updated once a step and once a second; the endpoint serves `registry`. `now` is seconds since the epoch."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.registry = process_registry()
        self._now = now
        self._stepped = gauge("courier_producer_loop_timestamp_seconds", self.registry)
        self._redis_up = gauge("courier_producer_redis_up", self.registry)
        self._lines = counter("courier_producer_lines", self.registry)
        self._matched = counter("courier_producer_matched", self.registry)
        self._excepted = counter("courier_producer_excepted", self.registry)
        self._dropped = counter("courier_producer_lines_rejected", self.registry)
        self._wrong_type = counter("courier_producer_field_type_errors", self.registry)
        self._lag_bytes = gauge("courier_producer_reader_lag_bytes", self.registry)
        self._lag_s = gauge("courier_producer_reader_lag_seconds", self.registry)
        self._config_ok = gauge("courier_producer_config_ok", self.registry)
        for reason in REJECT_REASONS:
            self._dropped.labels(reason)
        for field in FilterField:
            self._wrong_type.labels(field)

    def step_succeeded(self) -> None:
        """Record that a step succeeded, and so that Redis is up."""
        self._stepped.set(self._now())
        self._redis_up.set(1)

    def redis_down(self) -> None:
        """Record that Redis is unavailable."""
        self._redis_up.set(0)

    def record(self, counts: Mapping[str, int], readings: Mapping[str, IntegrationLag], *, config_ok: bool) -> None:
        """Record the counts and lags of a published report."""
        self._lines.inc(counts.get("lines", 0))
        self._matched.inc(counts.get("matched", 0))
        for name, count in counts.items():
            if name.startswith(REJECTED):
                self._dropped.labels(name.removeprefix(REJECTED)).inc(count)
            elif name.startswith(WRONG_TYPE):
                self._wrong_type.labels(name.removeprefix(WRONG_TYPE)).inc(count)
            elif name.startswith(EXCEPTED):
                self._excepted.labels(name.removeprefix(EXCEPTED)).inc(count)
        self._lag_bytes.clear()
        self._lag_s.clear()
        for integration_id, reading in readings.items():
            self._lag_bytes.labels(integration_id).set(reading.lag_bytes)
            self._lag_s.labels(integration_id).set(reading.lag_s)
            self._excepted.labels(integration_id)  # the series exists before the first event
        self._config_ok.set(config_ok)
