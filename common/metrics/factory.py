"""Creates the metrics of a process. Only metrics of the table can be created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from common.metrics.table import MetricType, find

if TYPE_CHECKING:
    from collections.abc import Sequence


def process_registry() -> CollectorRegistry:
    """Return a registry with the metrics of the process itself: memory, CPU, file descriptors."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """Create the counter `name` of the table. Raises KeyError if it is not in the table."""
    metric = find(name)
    assert metric.type is MetricType.COUNTER, name  # noqa: S101 — a programming error that the first test finds
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """Create the gauge `name` of the table. Raises KeyError if it is not in the table."""
    metric = find(name)
    assert metric.type is MetricType.GAUGE, name  # noqa: S101 — as above
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(name: str, buckets: Sequence[float], registry: CollectorRegistry) -> Histogram:
    """Create the histogram `name`; `buckets` are upper bounds. Raises KeyError if the table does not have it."""
    metric = find(name)
    assert metric.type is MetricType.HISTOGRAM, name  # noqa: S101 — as above
    return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=registry)
