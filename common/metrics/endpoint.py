"""Serves the metrics of one process at http://ADDRESS:PORT/metrics, in a daemon thread."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import disable_created_metrics, start_http_server

from common.connection.urls import host_in_url
from common.errors import SettingsError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from common.settings.served import MetricsSettings

_log = logging.getLogger("courier.metrics")


def serve(metrics: MetricsSettings, registry: CollectorRegistry) -> int:
    """Serve `registry` if a port is set; return the port, 0 for none. Raises SettingsError if it cannot listen."""
    if not metrics.port:
        return 0
    disable_created_metrics()  # type: ignore[no-untyped-call]  # otherwise each counter has a second series, _created
    try:
        server, _ = start_http_server(metrics.port, metrics.address, registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"metrics cannot be served on {metrics.address}:{metrics.port}: {reason}; "
            "set another metrics.port, or 0 for none"
        ) from None
    _log.info("metrics served at http://%s:%d/metrics", host_in_url(metrics.address), server.server_port)
    return int(server.server_port)
