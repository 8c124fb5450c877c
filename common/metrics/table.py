"""The table of all metrics: name, type, labels, exposing process and help text.

The code creates its metrics from this table, `ops.docs.render.metrics` writes ops/docs/metrics.md from it, and tests
check the dashboard and the alert rules against it. Labels are ids, node names and closed lists, never URLs or secrets.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class MetricType(StrEnum):
    """A metric type of Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class ExposedBy(StrEnum):
    """The process that exposes a metric."""

    EXPORTER = "exporter"
    PRODUCER = "producer"
    WORKER = "worker"


class Metric(NamedTuple):
    """One metric. `name` does not have the suffix `_total` that Prometheus adds to counters."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    exposed_by: ExposedBy
    help: str

    @property
    def full_name(self) -> str:
        """The name to query in Prometheus; for a histogram without _bucket, _sum and _count."""
        return f"{self.name}_total" if self.type is MetricType.COUNTER else self.name


def _exporter(name: str, kind: MetricType, labels: str, meaning: str) -> Metric:
    return Metric(name, kind, tuple(labels.split()), ExposedBy.EXPORTER, meaning)


def _producer(name: str, kind: MetricType, labels: str, meaning: str) -> Metric:
    return Metric(name, kind, tuple(labels.split()), ExposedBy.PRODUCER, meaning)


def _worker(name: str, kind: MetricType, labels: str, meaning: str) -> Metric:
    return Metric(name, kind, tuple(labels.split()), ExposedBy.WORKER, meaning)


_COUNTER, _GAUGE, _HISTOGRAM = MetricType.COUNTER, MetricType.GAUGE, MetricType.HISTOGRAM

TABLE: Final = (
    # the ledger, by integration
    _exporter(
        "courier_up",
        _GAUGE,
        "",
        "1 if the ledger could be read for this scrape; if 0, no other metric of the ledger is exposed",
    ),
    _exporter("courier_scrape_duration_seconds", _GAUGE, "", "duration of reading the ledger for this scrape"),
    _exporter("courier_committed", _COUNTER, "integration", "deliveries that producers added to the ledger"),
    _exporter(
        "courier_read",
        _COUNTER,
        "integration",
        "alerts that producers read for the integration: not matched, excepted, silenced, enqueued, already queued or "
        "folded",
    ),
    _exporter("courier_not_matched", _COUNTER, "integration", "alerts that its filters do not match"),
    _exporter(
        "courier_silenced", _COUNTER, "integration", "alerts that a silence kept back; `courier silence list` has each"
    ),
    _exporter("courier_enqueued", _COUNTER, "integration", "alerts for which a delivery was added to the ledger"),
    _exporter(
        "courier_already_queued",
        _COUNTER,
        "integration",
        "alerts that were read again by a replay of the log, or after one, and already had a delivery",
    ),
    _exporter(
        "courier_excepted",
        _COUNTER,
        "integration",
        "alerts that pass the filters and are excluded by the conditions only and except",
    ),
    _exporter("courier_folded", _COUNTER, "integration", "alerts that were folded into groups, for digests"),
    _exporter("courier_digests", _COUNTER, "integration", "digests that were added to the ledger as deliveries"),
    _exporter(
        "courier_below_min", _COUNTER, "integration", "folded alerts of which too few came in a window to send a digest"
    ),
    _exporter("courier_open_groups", _GAUGE, "integration", "groups of alerts whose window has not ended"),
    _exporter("courier_alerts_in_groups", _GAUGE, "integration", "alerts in open groups, which the next digests count"),
    _exporter(
        "courier_unaccounted_alerts",
        _GAUGE,
        "integration",
        "alerts that were read and are in none of the numbers of what became of them; 0 unless a counter was changed",
    ),
    _exporter(
        "courier_unaccounted_deliveries",
        _GAUGE,
        "integration",
        "deliveries that were added to the ledger, have not left it and are not in it; less than 0 if there are more "
        "than were added; 0 unless keys or counters were changed",
    ),
    _exporter(
        "courier_deliveries",
        _COUNTER,
        "integration outcome reason",
        "state changes of deliveries in the ledger; delivered, skipped, dead, discarded and expired are final",
    ),
    _exporter("courier_waiting", _GAUGE, "integration", "deliveries queued in the ledger, including those in back-off"),
    _exporter("courier_held", _GAUGE, "integration", "queued deliveries that are held until the end of a window"),
    _exporter("courier_released", _GAUGE, "integration", "deliveries in a Celery queue or in flight in a worker"),
    _exporter("courier_dead", _GAUGE, "integration", "dead letters that are neither replayed nor discarded"),
    _exporter(
        "courier_oldest_delivery_age_seconds",
        _GAUGE,
        "integration",
        "seconds since the commit of the oldest unsettled delivery, or since the end of its hold; 0 if there is none",
    ),
    _exporter(
        "courier_overdue_seconds",
        _GAUGE,
        "integration",
        "seconds since the next delivery became eligible to send: its age without back-off; 0 if there is none",
    ),
    _exporter(
        "courier_backlog_bytes", _GAUGE, "integration", "bytes of the records of waiting and released deliveries"
    ),
    _exporter("courier_dead_bytes", _GAUGE, "integration", "bytes of the dead letters"),
    # what stops an integration
    _exporter(
        "courier_ledger_damaged_keys",
        _GAUGE,
        "integration",
        "keys of the integration that have the wrong type, because another client wrote them; the integration stops",
    ),
    _exporter("courier_breaker_open", _GAUGE, "integration", "1 while the breaker is open or half-open"),
    _exporter("courier_breaker_opened", _COUNTER, "integration", "number of times that the breaker opened"),
    _exporter(
        "courier_target_pauses",
        _COUNTER,
        "integration",
        "number of times that the target asked for a pause (Retry-After)",
    ),
    _exporter("courier_paused", _GAUGE, "integration", "1 while the integration is paused by an operator"),
    _exporter(
        "courier_target_pause_remaining_seconds",
        _GAUGE,
        "integration",
        "seconds until the end of the pause that the target asked for",
    ),
    # the producers, from their last reports
    _exporter(
        "courier_producer_report_timestamp_seconds", _GAUGE, "node", "time of the last report of the node's producer"
    ),
    _exporter(
        "courier_intake_paused",
        _GAUGE,
        "node",
        "1 while intake is paused because Redis is nearly full or may evict keys",
    ),
    _exporter("courier_lines", _COUNTER, "node", "lines read from the alert log"),
    _exporter("courier_matched", _COUNTER, "node", "deliveries that the node's producer committed"),
    _exporter(
        "courier_lines_rejected",
        _COUNTER,
        "node reason",
        "log lines that are not valid alerts or could not be read; passed-over.jsonl keeps them",
    ),
    _exporter(
        "courier_field_type_errors",
        _COUNTER,
        "node field",
        "lines in which a field that filters use has a value of the wrong type; the field counts as absent",
    ),
    _exporter(
        "courier_foreign_writes",
        _COUNTER,
        "node what",
        "cursors and published integrations that another client changed in Redis and the node's producer restored",
    ),
    _exporter(
        "courier_reader_lag_bytes", _GAUGE, "integration node", "bytes between the cursor and the end of the log"
    ),
    _exporter(
        "courier_reader_lag_seconds",
        _GAUGE,
        "integration node",
        "age of the next line to read; 0 at the end of the log",
    ),
    _exporter("courier_backpressure", _GAUGE, "integration node", "1 while the backlog is full and reading is paused"),
    _exporter("courier_backlog_limit", _GAUGE, "integration node", "max_backlog of the producer, in deliveries"),
    _exporter("courier_backlog_limit_bytes", _GAUGE, "integration node", "max_backlog_bytes of the producer"),
    _exporter("courier_config_hash", _GAUGE, "node", "first 48 bits of the SHA-256 of the active ossec.conf"),
    _exporter(
        "courier_config_loaded_timestamp_seconds", _GAUGE, "node", "time at which the active ossec.conf was loaded"
    ),
    _exporter(
        "courier_config_ok",
        _GAUGE,
        "node",
        "1 if all of the current configuration is active; 0 if any of it was rejected",
    ),
    # the server
    _exporter("courier_redis_memory_bytes", _GAUGE, "", "memory used by Redis"),
    _exporter(
        "courier_redis_memory_max_bytes",
        _GAUGE,
        "",
        "maxmemory of Redis, or the memory of its machine if maxmemory is not set",
    ),
    _exporter(
        "courier_redis_durable", _GAUGE, "", "1 if Redis has an append-only file and the last write to it succeeded"
    ),
    _exporter("courier_redis_evicts", _GAUGE, "", "1 if the maxmemory-policy of Redis allows it to evict deliveries"),
    # exposed by the producer itself
    _producer(
        "courier_producer_loop_timestamp_seconds", _GAUGE, "", "time of the last successful read of the alert log"
    ),
    _producer(
        "courier_producer_redis_up",
        _GAUGE,
        "",
        "1 while Redis is available; while 0, the producer does not read the log",
    ),
    _producer("courier_producer_lines", _COUNTER, "", "lines read by this process"),
    _producer("courier_producer_matched", _COUNTER, "", "deliveries committed by this process"),
    _producer("courier_producer_excepted", _COUNTER, "integration", "as courier_excepted_total, by this process"),
    _producer(
        "courier_producer_lines_rejected", _COUNTER, "reason", "as courier_lines_rejected_total, by this process"
    ),
    _producer(
        "courier_producer_field_type_errors", _COUNTER, "field", "as courier_field_type_errors_total, by this process"
    ),
    _producer("courier_producer_reader_lag_bytes", _GAUGE, "integration", "as courier_reader_lag_bytes"),
    _producer("courier_producer_reader_lag_seconds", _GAUGE, "integration", "as courier_reader_lag_seconds"),
    _producer("courier_producer_config_ok", _GAUGE, "", "as courier_config_ok"),
    # exposed by the workers themselves
    _worker(
        "courier_attempts",
        _COUNTER,
        "integration outcome reason",
        "attempts that ended in this process, including those settled too late to count in the ledger",
    ),
    _worker(
        "courier_request_seconds", _HISTOGRAM, "integration", "duration of one call: an HTTP request or a script run"
    ),
    _worker(
        "courier_delivery_latency_seconds",
        _HISTOGRAM,
        "integration",
        "seconds from the timestamp of the alert until the service accepted it; without replays",
    ),
    _worker(
        "courier_messages_dropped",
        _COUNTER,
        "integration",
        "malformed queue messages that the worker dropped unread; `remote control` for Celery's remote control",
    ),
    _worker(
        "courier_template_missing",
        _COUNTER,
        "integration",
        "values that the templates of a message or body print, and that an alert does not have",
    ),
    _worker(
        "courier_template_failures",
        _COUNTER,
        "integration",
        "messages or bodies that were sent in their default form because a template failed on the alert",
    ),
    _worker("courier_worker_maintenance_timestamp_seconds", _GAUGE, "", "time of the last successful maintenance"),
    _worker("courier_worker_integration_info", _GAUGE, "integration", "1 for each integration that this worker serves"),
)

_BY_NAME: Final = {metric.name: metric for metric in TABLE}


def find(name: str) -> Metric:
    """Return the metric called `name`. Raises KeyError if the table has no such metric."""
    return _BY_NAME[name]
