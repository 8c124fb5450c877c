"""Metrics for Prometheus: the table of all metrics, and the endpoint on which a process serves its own.

The ledger counts deliveries and the exporter serves these counters, so that a restart never resets them. Producer and
workers serve only what they alone know.
"""

from common.metrics.endpoint import serve
from common.metrics.table import TABLE, ExposedBy, Metric, find

__all__ = ["TABLE", "ExposedBy", "Metric", "find", "serve"]
