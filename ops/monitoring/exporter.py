"""`courier exporter`: exposes the ledger and the producers' reports to Prometheus.

One exporter serves all managers and workers. It exposes the ledger's totals and counts nothing itself, so that no
restart of an exporter or worker resets a counter. While Redis is unavailable it exposes only `courier_up` (0) and the
scrape's duration.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.registry import Collector

from common.connection.client import connect
from common.errors import LedgerError
from common.health.state_file import HealthFile
from common.logs import Condition
from common.metrics import serve
from common.metrics.factory import process_registry
from common.reports.producer import fetch_producer_reports
from ops.monitoring import probe
from ops.monitoring.metric_families import families, up
from ops.monitoring.snapshot import take_snapshot
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from redis import Redis

    from common.settings.load import Settings

_log = logging.getLogger("courier.metrics")


class LedgerCollector(Collector):
    """Reads Redis at each scrape. `now` returns monotonic seconds."""

    def __init__(self, client: Redis, now: Callable[[], float] = time.monotonic) -> None:
        self._redis, self._now = client, now
        self._unavailable = Condition(_log, logging.ERROR)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: without this method, registering the collector would read Redis."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, or only those of `up` if Redis is unavailable."""
        began_s = self._now()
        try:
            snapshot, nodes = take_snapshot(self._redis), fetch_producer_reports(self._redis)
        except LedgerError as error:
            self._unavailable.set(f"{error}; courier_up is 0")
            yield from up(answered=False, seconds=self._now() - began_s)
            return
        self._unavailable.clear("redis available again; courier_up is 1")
        yield from up(answered=True, seconds=self._now() - began_s)
        yield from families(snapshot, nodes)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; Redis may be unavailable. Raises SettingsError if the port is in use."""
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)  # inherited by all later threads, so only sigwait gets them
    registry = process_registry()
    with connect(redis_url(settings)) as client:
        collector = LedgerCollector(client)
        registry.register(collector)
        metrics = settings.metrics
        serve(msgspec.structs.replace(metrics, port=metrics.port or probe.EXPORTER_PORT), registry)
        list(collector.collect())  # logs at once that Redis is unavailable; the first scrape may come a minute later
        HealthFile(settings.health.path).keep(lambda: probe.exporter(metrics))
        signal.sigwait(stop_signals)
