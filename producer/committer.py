"""Commits the matches of a read for all integrations at the same cursor, and releases them to the workers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from common.broker.dispatcher import LINGER_S, ReleaseTarget
from producer.group_commit import commit_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from common.broker.dispatcher import Dispatcher
    from common.ledger import Commit, CommitResult
    from common.registry.published import PublishedRegistry
    from producer.cursors.subscription import Commits, Subscription
    from producer.holds import Holds
    from producer.read_result import ReadResult

COALESCE_FROM: Final = 4
"""While there is more to read, an integration with at least this many matches is dispatched when they fill a task, or
after the linger. Otherwise a flood over many integrations would be split into tasks with few ids each."""


class Committer:
    """Commits for one node. Times are monotonic, in seconds.

    Methods raise LedgerUnavailable or LedgerMisconfigured.
    """

    def __init__(
        self, node: str, registry: PublishedRegistry, dispatcher: Dispatcher, holds: Holds, now_s: float
    ) -> None:
        self._node, self._registry, self._dispatcher, self._holds = node, registry, dispatcher, holds
        self._undispatched: defaultdict[str, int] = defaultdict(int)
        self._coalescing_since_s = now_s

    def is_due(self, now_s: float) -> bool:
        """Return whether what was left for fuller tasks must go now. If so, the linger starts again."""
        is_due = now_s - self._coalescing_since_s >= LINGER_S
        if is_due:
            self._coalescing_since_s = now_s
        return is_due

    def commit(
        self, subscriptions: Iterable[Subscription], reading: ReadResult, after: str, now_s: float, *, flush: bool
    ) -> int:
        """Commit and release; return the number of new deliveries. With `flush`, no integration is left for later.

        If the producer stops before the release, the workers do it within a second.
        """
        commits, targets = {}, {}
        for subscription in subscriptions:
            integration_id = subscription.integration.id
            ours = reading.matches.get(integration_id, ())
            held = self._holds.held(subscription.integration, ours, now_s)
            ledger_ms = self._holds.ledger_ms(now_s) if ours and subscription.folder else 0
            commits[integration_id] = subscription.commits(
                self._node, reading, after, now_s, held=held, ledger_ms=ledger_ms
            )
            number = self._undispatched[integration_id] + len(ours)
            if number and (flush or not COALESCE_FROM <= number < subscription.policy.batch_max):
                target = self._registry.target(subscription.integration)
                targets[integration_id] = ReleaseTarget.of(integration_id, subscription.policy, target)
        return self._commit_together(commits, targets)

    def flush_cursors(self, subscriptions: Iterable[Subscription], now_s: float) -> None:
        """Commit the cursors that are not committed yet."""
        self._commit_together({one.integration.id: one.flush(self._node, now_s) for one in subscriptions}, {})

    def _commit_together(self, commits: Mapping[str, Commits], targets: Mapping[str, ReleaseTarget]) -> int:
        released: set[str] = set()

        def commit_all(batch: Mapping[str, Commit]) -> Mapping[str, CommitResult]:
            released.update(batch)
            return self._dispatcher.commit_all(batch, [targets[i] for i in batch if i in targets])

        stored = commit_together(commits, commit_all)
        # An integration without new matches had nothing to commit, but deliveries of earlier reads can wait for it.
        if left := [target for i, target in targets.items() if i not in released]:
            self._dispatcher.dispatch_all(left)
        for integration_id, count in stored.items():
            is_released = integration_id in targets
            self._undispatched[integration_id] = 0 if is_released else self._undispatched[integration_id] + count
        return sum(stored.values())
