"""Spans of the producer's commits. Imported only if traces are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.broker.dispatcher import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis import Redis

    from common.broker.dispatcher import ReleaseTarget
    from common.ledger import Commit, CommitResult, Ledger
    from common.telemetry.spans import Tracing


class TracedDispatcher(Dispatcher):
    """A dispatcher with a span for each round trip that commits deliveries."""

    def __init__(self, ledger: Ledger, client: Redis, tracing: Tracing) -> None:
        super().__init__(ledger, client)
        self._tracing = tracing

    def commit_all(self, commits: Mapping[str, Commit], targets: Sequence[ReleaseTarget]) -> dict[str, CommitResult]:
        """Commit, release and publish within a span."""
        deliveries = [(i, delivery_id) for i, commit in commits.items() for delivery_id, _ in commit.deliveries]
        with self._tracing.commit(deliveries):
            return super().commit_all(commits, targets)
