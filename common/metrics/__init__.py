"""Metrics for Prometheus: the one table of what there is, and the endpoint at which a process shows its own.

What must outlive processes (how many were delivered, what waits) is counted in the ledger and shown by one exporter,
so that a restart never sets it back. A process of its own shows only what it alone can know.
"""

from common.metrics.endpoint import serve
from common.metrics.table import TABLE, ExposedBy, Metric, find

__all__ = ["TABLE", "ExposedBy", "Metric", "find", "serve"]
