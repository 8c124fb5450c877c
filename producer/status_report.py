"""Publishes the producer's status once a second.

It goes to Redis, where the exporter and `courier status` read it, and to the producer's own metrics endpoint, which
works even while Redis is unavailable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.reports.producer import IntegrationLag, ProducerReport, publish_producer_report

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection

    from redis import Redis

    from common.ledger import Ledger
    from producer.config_file import ConfigFile
    from producer.cursors.subscription import Subscription
    from producer.metrics import ProducerMetrics
    from producer.source import Source


class StatusReporter:
    """Publishes `counts`, the counters since the last report, and clears them."""

    def __init__(
        self,
        *,
        node: str,
        source: Source,
        config: ConfigFile,
        ledger: Ledger,
        client: Redis,
        counts: Counter[str],
        metrics: ProducerMetrics | None,
    ) -> None:
        self._node, self._source, self._config = node, source, config
        self._ledger, self._client, self._metrics = ledger, client, metrics
        self._counts = counts

    def publish(self, subscriptions: Collection[Subscription], *, intake_paused: str, foreign_writes: str) -> None:
        """Publish the status; `intake_paused` is why intake is paused, `foreign_writes` what another writer changed.

        Raises LedgerUnavailable or LedgerMisconfigured; the next report then includes these counts.
        """
        lags = self._lags(subscriptions)
        report = ProducerReport(
            seen_ms=self._ledger.now_ms(),
            config=str(self._config.path),
            config_error=self._config.error,
            config_digest=self._config.digest,
            config_loaded_ms=self._config.loaded_ms,
            intake_paused=intake_paused,
            foreign_writes=foreign_writes,
            lags=lags,
        )
        publish_producer_report(self._client, self._node, report, added=self._counts)
        if self._metrics:
            self._metrics.record(self._counts, lags, config_ok=not self._config.error)
        self._counts.clear()

    def _lags(self, subscriptions: Collection[Subscription]) -> dict[str, IntegrationLag]:
        cursors = {m.cursor for m in subscriptions}
        self._source.close_unused(cursors)
        lags = {cursor: self._source.lag(cursor) for cursor in cursors}
        return {
            m.integration.id: IntegrationLag(
                lag_bytes=lags[m.cursor].size_bytes,
                lag_s=round(lags[m.cursor].age_s, 3),
                backpressured=m.backpressured,
                max_backlog=m.policy.max_backlog,
                max_backlog_bytes=m.policy.max_backlog_bytes,
            )
            for m in subscriptions
        }
