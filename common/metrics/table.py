"""Every metric once: its name, kind, labels, which process shows it and what it means.

The code makes its metrics from this table, the page ops/docs/metrics.md is written from it, and the dashboard and
the alert rules are checked against it. Labels are ids, node names and closed vocabularies: never a URL, never a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class MetricType(StrEnum):
    """Prometheus's own words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class ExposedBy(StrEnum):
    """Which process shows a metric."""

    EXPORTER = "exporter"
    PRODUCER = "producer"
    WORKER = "worker"


class Metric(NamedTuple):
    """One metric. `name` is without Prometheus's ending `_total`, which a counter gets."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    exposed_by: ExposedBy
    help: str

    @property
    def full_name(self) -> str:
        """The name as it is asked for in Prometheus; of a histogram, without _bucket, _sum and _count."""
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
    _exporter("courier_up", _GAUGE, "", "1 if the ledger answered this scrape, 0 if not; then nothing else is shown"),
    _exporter("courier_scrape_duration_seconds", _GAUGE, "", "time that reading the ledger took for this scrape"),
    _exporter("courier_committed", _COUNTER, "integration", "deliveries that entered the ledger"),
    _exporter(
        "courier_deliveries",
        _COUNTER,
        "integration outcome reason",
        "moves of deliveries in the ledger; delivered, skipped, dead, discarded and expired are ends, others are not",
    ),
    _exporter("courier_waiting", _GAUGE, "integration", "deliveries that wait in the ledger, backed-off ones included"),
    _exporter("courier_released", _GAUGE, "integration", "deliveries in a Celery queue or in a worker's hands"),
    _exporter("courier_dead", _GAUGE, "integration", "dead letters about which nobody has decided"),
    _exporter(
        "courier_oldest_delivery_age_seconds",
        _GAUGE,
        "integration",
        "age, since its commit, of the oldest delivery that is not settled; 0 if there is none",
    ),
    _exporter(
        "courier_overdue_seconds",
        _GAUGE,
        "integration",
        "how long the delivery that was due first could have gone: as the age, without back-off; 0 if none",
    ),
    _exporter("courier_backlog_bytes", _GAUGE, "integration", "bytes of the records that are waiting or released"),
    _exporter("courier_dead_bytes", _GAUGE, "integration", "bytes of the dead letters"),
    # what holds an integration back
    _exporter(
        "courier_ledger_damaged_keys",
        _GAUGE,
        "integration",
        "keys of the wrong type among those that Redis holds for it: somebody else wrote them, and it stops",
    ),
    _exporter("courier_breaker_open", _GAUGE, "integration", "1 while the breaker is open or half-open"),
    _exporter("courier_breaker_opened", _COUNTER, "integration", "times that the breaker opened"),
    _exporter("courier_target_pauses", _COUNTER, "integration", "times that the target asked for a pause"),
    _exporter("courier_paused", _GAUGE, "integration", "1 while an operator has it paused"),
    _exporter(
        "courier_target_pause_remaining_seconds", _GAUGE, "integration", "what is left of a pause the target asked for"
    ),
    # the producers, as they last told the ledger
    _exporter(
        "courier_producer_report_timestamp_seconds", _GAUGE, "node", "when the node's producer last told how it goes"
    ),
    _exporter(
        "courier_intake_paused", _GAUGE, "node", "1 while it enqueues nothing, since Redis is nearly full or may evict"
    ),
    _exporter("courier_lines", _COUNTER, "node", "lines of the alert log that were read"),
    _exporter("courier_matched", _COUNTER, "node", "deliveries that the node's producer committed"),
    _exporter(
        "courier_lines_rejected",
        _COUNTER,
        "node reason",
        "what of the log was no alert or could not be read; kept in passed-over.jsonl",
    ),
    _exporter(
        "courier_field_type_errors",
        _COUNTER,
        "node field",
        "lines in which a field that filters look at has a value of the wrong type, and so counts as absent",
    ),
    _exporter(
        "courier_foreign_writes",
        _COUNTER,
        "node what",
        "cursors and published integrations that somebody else changed in Redis and the node's producer put right",
    ),
    _exporter("courier_reader_lag_bytes", _GAUGE, "integration node", "bytes between its place and the log's end"),
    _exporter(
        "courier_reader_lag_seconds", _GAUGE, "integration node", "age of the next line it has to read; 0 at the end"
    ),
    _exporter(
        "courier_backpressure", _GAUGE, "integration node", "1 while its backlog is full and its alerts wait in the log"
    ),
    _exporter(
        "courier_backlog_limit", _GAUGE, "integration node", "max_backlog, in deliveries, as the producer has it"
    ),
    _exporter("courier_backlog_limit_bytes", _GAUGE, "integration node", "max_backlog_bytes, as the producer has it"),
    _exporter("courier_config_hash", _GAUGE, "node", "the first 48 bits of the SHA-256 of the ossec.conf in force"),
    _exporter("courier_config_loaded_timestamp_seconds", _GAUGE, "node", "when the ossec.conf in force was taken over"),
    _exporter(
        "courier_config_ok", _GAUGE, "node", "1 if all of ossec.conf as it is now is in force, 0 if it was refused"
    ),
    # the server
    _exporter("courier_redis_memory_bytes", _GAUGE, "", "memory that Redis uses"),
    _exporter("courier_redis_memory_max_bytes", _GAUGE, "", "its maxmemory, or the machine's memory if there is none"),
    _exporter(
        "courier_redis_durable", _GAUGE, "", "1 if it keeps an append-only file and the last write to it went well"
    ),
    _exporter("courier_redis_evicts", _GAUGE, "", "1 if its maxmemory-policy lets it throw deliveries away"),
    # what only the producer knows
    _producer("courier_producer_loop_timestamp_seconds", _GAUGE, "", "when it last looked at the log with success"),
    _producer("courier_producer_redis_up", _GAUGE, "", "1 while it reaches Redis; without it nothing is read"),
    _producer("courier_producer_lines", _COUNTER, "", "lines read by this process"),
    _producer("courier_producer_matched", _COUNTER, "", "deliveries committed by this process"),
    _producer(
        "courier_producer_lines_rejected", _COUNTER, "reason", "as courier_lines_rejected_total, by this process"
    ),
    _producer(
        "courier_producer_field_type_errors", _COUNTER, "field", "as courier_field_type_errors_total, by this process"
    ),
    _producer("courier_producer_reader_lag_bytes", _GAUGE, "integration", "as courier_reader_lag_bytes"),
    _producer("courier_producer_reader_lag_seconds", _GAUGE, "integration", "as courier_reader_lag_seconds"),
    _producer("courier_producer_config_ok", _GAUGE, "", "as courier_config_ok"),
    # what only a worker knows
    _worker(
        "courier_attempts",
        _COUNTER,
        "integration outcome reason",
        "attempts that ended in this process, also those that settled too late to count in the ledger",
    ),
    _worker(
        "courier_request_seconds", _HISTOGRAM, "integration", "one call of the service: a request or a script's run"
    ),
    _worker(
        "courier_delivery_latency_seconds",
        _HISTOGRAM,
        "integration",
        "from the alert's own timestamp until the service accepted it, replays left out: what a person waits",
    ),
    _worker(
        "courier_messages_dropped",
        _COUNTER,
        "integration",
        "malformed messages in its queue, dropped unread; `remote control` for those of Celery's remote control",
    ),
    _worker(
        "courier_worker_maintenance_timestamp_seconds", _GAUGE, "", "when the housekeeping last went round with success"
    ),
    _worker("courier_worker_integration_info", _GAUGE, "integration", "1 for each integration that this worker serves"),
)

_BY_NAME: Final = {metric.name: metric for metric in TABLE}


def find(name: str) -> Metric:
    """Return a metric of the table by its `name`. Raises KeyError: what is not in the table must not exist."""
    return _BY_NAME[name]
