"""Makes the metrics of a process from the table: what is not in it cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from common.metrics.table import MetricType, find

if TYPE_CHECKING:
    from collections.abc import Sequence


def process_registry() -> CollectorRegistry:
    """Return a registry that already tells of the process itself: memory, CPU, descriptors."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def counter(name: str, registry: CollectorRegistry) -> Counter:
    """Return the counter of that name in the table."""
    metric = find(name)
    assert metric.type is MetricType.COUNTER, name  # noqa: S101 — a slip of ours, seen by the first test
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def gauge(name: str, registry: CollectorRegistry) -> Gauge:
    """Return the gauge of that name in the table."""
    metric = find(name)
    assert metric.type is MetricType.GAUGE, name  # noqa: S101 — as above
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def histogram(name: str, buckets: Sequence[float], registry: CollectorRegistry) -> Histogram:
    """Return the histogram of that name in the table, with these upper bounds."""
    metric = find(name)
    assert metric.type is MetricType.HISTOGRAM, name  # noqa: S101 — as above
    return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=registry)
