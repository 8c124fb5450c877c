"""`courier exporter`: what the ledger and the producers know, for Prometheus.

One is enough for all managers and workers. It counts nothing itself: the ledger's totals are the record, so that
neither its restart nor a worker's sets a counter back. While Redis is away it says so and nothing else.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Final

import msgspec
from prometheus_client.registry import Collector

from common.connection.client import connect
from common.errors import LedgerError
from common.ledger.snapshot import take_snapshot
from common.metrics import serve
from common.metrics.factory import process_registry
from common.reports.producer import fetch_producer_reports
from ops.monitoring.metric_families import families, up
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from redis import Redis

    from common.settings.load import Settings

DEFAULT_PORT: Final = 9464
"""The port that OpenTelemetry gives to Prometheus exporters; taken where `metrics.port` is 0."""

_log = logging.getLogger("courier.metrics")


class LedgerCollector(Collector):
    """Asks Redis at each scrape. `now` is monotonic, in seconds."""

    def __init__(self, client: Redis, now: Callable[[], float] = time.monotonic) -> None:
        self._redis, self._now = client, now
        self._error = ""

    def describe(self) -> Iterator[Metric]:
        """Say nothing: registering must not ask Redis."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Yield everything, or only that the ledger does not answer."""
        began_s = self._now()
        try:
            found, nodes = take_snapshot(self._redis), fetch_producer_reports(self._redis)
        except LedgerError as error:
            self._log_once(str(error))
            yield from up(answered=False, seconds=self._now() - began_s)
            return
        self._log_once("")
        yield from up(answered=True, seconds=self._now() - began_s)
        yield from families(found, nodes)

    def _log_once(self, trouble: str) -> None:
        """Log a trouble once, and its end."""
        if trouble and trouble != self._error:
            _log.error("%s; courier_up is 0 until it does", trouble)
        elif self._error and not trouble:
            _log.info("the ledger answers again")
        self._error = trouble


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; Redis need not be there. Raises SettingsError if the port is taken."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # every thread from here on leaves them to sigwait
    registry = process_registry()
    with connect(redis_url(settings)) as client:
        registry.register(LedgerCollector(client))
        metrics = settings.metrics
        serve(msgspec.structs.replace(metrics, port=metrics.port or DEFAULT_PORT), registry)
        signal.sigwait(ends)
