"""Converts a snapshot of the ledger and the producers' reports into Prometheus metric families."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from common.ledger import unaccounted
from common.ledger.enums import BreakerState
from common.metrics.labels import ledger_pairs
from common.metrics.table import MetricType, find
from common.reports.producer import FOREIGN_WRITE, REJECTED, WRONG_TYPE, ForeignWrite
from producer.filters.decode import FilterField
from producer.metrics import REJECT_REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from common.ledger import Status
    from common.reports.producer import NodeReport, ProducerReport
    from ops.monitoring.snapshot import Server, Snapshot

Family = CounterMetricFamily | GaugeMetricFamily

_OUTCOMES: Final = frozenset(outcome for outcome, _ in ledger_pairs())

MAX_UNKNOWN_REASONS: Final = 20
"""Reasons of an integration that this version does not know and that get a time series of their own."""

_REASON: Final = re.compile(r"[a-z0-9_]{1,40}")
"""The form of all reasons (`common.outcome.Reason`)."""


def up(*, answered: bool, seconds: float) -> Iterator[Metric]:
    """Yield the metrics of the scrape itself; `seconds` is how long reading Redis took."""
    yield _family("courier_up", [((), float(answered))])
    yield _family("courier_scrape_duration_seconds", [((), seconds)])


def families(snapshot: Snapshot, nodes: list[NodeReport]) -> Iterator[Metric]:
    """Yield the metrics of integrations, nodes and the Redis server."""
    yield from _integration_families(snapshot.integrations, snapshot.now_ms)
    yield from _node_families(nodes)
    yield from _lag_families(nodes)
    yield from _server_families(snapshot.server)


def deliveries(totals: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Return the count of each outcome and reason, zeros included.

    Workers of a newer version may count reasons that this one does not know. Some of them are kept, and the others are
    counted as `other`: whoever can write to Redis could otherwise create any number of time series.
    """
    known = dict.fromkeys(ledger_pairs(), 0)
    counted = Counter(known)
    for name, count in totals.items():
        outcome, _, reason = name.partition(":")
        pair = outcome, reason
        if outcome not in _OUTCOMES or (not reason and pair not in known):
            continue
        is_kept = pair in counted or (_REASON.fullmatch(reason) and len(counted) < len(known) + MAX_UNKNOWN_REASONS)
        counted[pair if is_kept else (outcome, "other")] += count
    return counted


def _integration_families(found: Mapping[str, Status], now_ms: int) -> Iterator[Metric]:
    def each(name: str, value: Callable[[Status], float]) -> Family:
        return _family(name, (((one,), value(status)) for one, status in found.items()))

    def total(name: str, field: str) -> Family:
        return each(name, lambda status: status.totals.get(field, 0))

    yield total("courier_committed", "committed")
    yield total("courier_read", "read")
    yield total("courier_not_matched", "not_matched")
    yield total("courier_silenced", "silenced")
    yield total("courier_enqueued", "enqueued")
    yield total("courier_already_queued", "already_queued")
    yield total("courier_excepted", "excepted")
    yield total("courier_folded", "folded")
    yield total("courier_digests", "digests")
    yield total("courier_below_min", "below_min")
    yield each("courier_open_groups", lambda status: status.groups)
    yield each("courier_alerts_in_groups", lambda status: status.in_groups)
    differences = [((one,), missing) for one, status in found.items() if (missing := unaccounted(status))]
    yield _family("courier_unaccounted_alerts", ((one, missing.alerts) for one, missing in differences))
    yield _family("courier_unaccounted_deliveries", ((one, missing.deliveries) for one, missing in differences))
    yield _family(
        "courier_deliveries",
        (((one, *pair), count) for one, status in found.items() for pair, count in deliveries(status.totals).items()),
    )
    yield each("courier_waiting", lambda status: status.waiting)
    yield each("courier_held", lambda status: sum(status.held.values()))
    yield each("courier_released", lambda status: status.released)
    yield each("courier_dead", lambda status: status.dead)
    yield each("courier_oldest_delivery_age_seconds", lambda status: status.unsettled_age_s or 0.0)
    yield each("courier_overdue_seconds", lambda status: status.overdue_s)
    yield total("courier_backlog_bytes", "bytes")
    yield total("courier_dead_bytes", "dead_bytes")
    yield total("courier_breaker_opened", "breaker_opened")
    yield total("courier_target_pauses", "target_paused")
    yield each("courier_ledger_damaged_keys", lambda status: len(status.damaged))
    yield each("courier_breaker_open", lambda status: status.breaker is not BreakerState.CLOSED)
    yield each("courier_paused", lambda status: status.paused_ms != 0)
    yield each("courier_target_pause_remaining_seconds", lambda status: max(0, status.target_until_ms - now_ms) / 1000)


def _node_families(nodes: list[NodeReport]) -> Iterator[Metric]:
    def each(name: str, value: Callable[[ProducerReport], float]) -> Family:
        return _family(name, (((n.node,), value(n.report)) for n in nodes))

    def counted(name: str, counter: str) -> Family:
        return _family(name, (((n.node,), n.counters.get(counter, 0)) for n in nodes))

    yield each("courier_producer_report_timestamp_seconds", lambda report: report.seen_ms / 1000)
    yield each("courier_intake_paused", lambda report: bool(report.intake_paused))
    yield counted("courier_lines", "lines")
    yield counted("courier_matched", "matched")
    yield _family("courier_lines_rejected", (((n.node, r), c) for n in nodes for r, c in _rejected(n).items()))
    wrong_type = (((n.node, f), n.counters.get(f"{WRONG_TYPE}{f}", 0)) for n in nodes for f in FilterField)
    yield _family("courier_field_type_errors", wrong_type)
    foreign = (((n.node, what), n.counters.get(f"{FOREIGN_WRITE}{what}", 0)) for n in nodes for what in ForeignWrite)
    yield _family("courier_foreign_writes", foreign)
    yield each("courier_config_hash", lambda report: report.config_digest)
    yield each("courier_config_loaded_timestamp_seconds", lambda report: report.config_loaded_ms / 1000)
    yield each("courier_config_ok", lambda report: not report.config_error)


def _rejected(node: NodeReport) -> dict[str, int]:
    rejected = {
        name.removeprefix(REJECTED): count for name, count in node.counters.items() if name.startswith(REJECTED)
    }
    return dict.fromkeys(map(str, REJECT_REASONS), 0) | rejected


def _lag_families(nodes: list[NodeReport]) -> Iterator[Metric]:
    lags = [((one, n.node), lag) for n in nodes for one, lag in n.report.lags.items()]
    for name, value in (
        ("courier_reader_lag_bytes", "lag_bytes"),
        ("courier_reader_lag_seconds", "lag_s"),
        ("courier_backpressure", "backpressured"),
        ("courier_backlog_limit", "max_backlog"),
        ("courier_backlog_limit_bytes", "max_backlog_bytes"),
    ):
        yield _family(name, ((labels, getattr(lag, value)) for labels, lag in lags))


def _server_families(server: Server) -> Iterator[Metric]:
    yield _family("courier_redis_memory_bytes", [((), server.memory_bytes)])
    yield _family("courier_redis_memory_max_bytes", [((), server.memory_max_bytes)])
    yield _family("courier_redis_durable", [((), server.durable)])
    yield _family("courier_redis_evicts", [((), server.evicts)])


def _family(name: str, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    metric = find(name)
    made = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    family: Family = made(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, float(value))
    return family
