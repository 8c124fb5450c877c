"""Group commit: alerts that come close together share one commit, as transactions share one write of a database's log.

An alert costs little by itself; its round trips and its task cost much. The first alert after a pause is committed at
once. What follows within the window is gathered and goes together: one round trip commits and releases it for up to 20
integrations, and one task carries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.broker.dispatcher import RELEASES_PER_ROUND_TRIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from common.ledger import Commit, CommitResult
    from producer.cursors.subscription import Commits

MIN_WINDOW_S: Final = 0.01
"""The shortest window, and the one after lines that match nothing: they cost only the read."""

TARGET_ALERTS: Final = 16
"""Alerts for one integration after which gathering more saves little CPU; the window shrinks towards it."""

MAX_ROUND_TRIP_BYTES: Final = 4 * 1024 * 1024
"""Alerts in the commits of one round trip, which are in memory once more while they are sent."""


class GroupWindow:
    """How long to gather alerts before the next read: up to `max_s`, less at high rates. Times are monotonic."""

    def __init__(self, max_s: float) -> None:
        self._max_s = self._window_s = max_s
        self._ends_s = 0.0

    def start(self, alerts: int, now_s: float) -> None:
        """Start the window after a read that found `alerts` for the integration with the most of them."""
        if alerts:
            self._window_s = min(self._max_s, max(MIN_WINDOW_S, self._window_s * TARGET_ALERTS / alerts))
        self._ends_s = now_s + (self._window_s if alerts else min(self._max_s, MIN_WINDOW_S))

    def left_s(self, now_s: float) -> float:
        """Return the seconds until the next read is due, 0 after a pause."""
        return max(0.0, self._ends_s - now_s)


def commit_together(
    commits: Mapping[str, Commits], commit_all: Callable[[Mapping[str, Commit]], Mapping[str, CommitResult]]
) -> dict[str, int]:
    """Make the commits of all integrations, each time the next one of every integration together.

    Return the number of new deliveries by integration. `commit_all` leaves damaged integrations out of its result.
    """
    stored: dict[str, int] = {}
    following: dict[str, Commit] = {}

    def advance(integration_id: str, result: CommitResult | None) -> None:
        try:
            following[integration_id] = commits[integration_id].send(result)
        except StopIteration as end:
            following.pop(integration_id, None)
            stored[integration_id] = end.value

    for integration_id in commits:
        advance(integration_id, None)
    while following:
        for batch in _round_trips(following):
            results = commit_all(batch)
            for integration_id in batch:
                advance(integration_id, results.get(integration_id))
    return stored


def _round_trips(commits: Mapping[str, Commit]) -> Iterator[dict[str, Commit]]:
    """Split the next commits into what fits one round trip."""
    batch: dict[str, Commit] = {}
    size = 0
    for integration_id, commit in list(commits.items()):  # a copy: the caller replaces the commits meanwhile
        more = sum(len(alert) for _, alert in commit.deliveries)
        if batch and (len(batch) >= RELEASES_PER_ROUND_TRIP or size + more > MAX_ROUND_TRIP_BYTES):
            yield batch
            batch, size = {}, 0
        batch[integration_id] = commit
        size += more
    if batch:
        yield batch
