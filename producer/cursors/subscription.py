"""Subscriptions: each integration follows the source with its own cursor, like a consumer group.

Normally all cursors are equal and the source is read once for all. An integration with a full backlog is under
backpressure: its cursor stays, reading is retried after a pause, and it then reads alone until it has caught up.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import LedgerDamaged
from common.ledger import NO_HOLDS, Commit, Full, Stale, Stored
from producer.cursors.signatures import unsigned

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import CommitResult, Ledger
    from common.settings.schema import Policy
    from producer.cursors.signatures import CursorSigner
    from producer.source import Line

    Commits = Generator[Commit, CommitResult | None, int]

BACKPRESSURE_RETRY_S: Final = 1.0
"""Interval between checks whether a full backlog has room again."""

RESUME_FREE_RATIO: Final = 0.05
"""The free share of a backlog from which reading resumes. Each time, a batch is read and matched again."""

IDLE_COMMIT_S: Final = 1.0
"""A cursor that moved without matches is written at most this often: reading those lines again is harmless."""

MAX_COMMIT_DELIVERIES: Final = 500
MAX_COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Limits of one commit; Redis serves no other client while its script runs."""

_log = logging.getLogger("courier.producer")


@dataclass(slots=True)
class Subscription:
    """The reading state of one integration. `cursor` is how far it has read, `committed` the signed cursor in Redis.

    While its keys in Redis are `damaged` its cursor stays, as under backpressure. `forged` counts the forged cursors
    found in Redis since the last report, `excepted` the excepted alerts that were committed since then; `uncommitted`
    are those between `committed` and `cursor`.
    """

    integration: Integration
    policy: Policy
    cursor: str
    committed: str
    signer: CursorSigner
    forged: int = 0
    excepted: int = 0
    uncommitted: int = 0
    committed_at_s: float = 0.0
    retry_at_s: float = 0.0
    backpressured: bool = False
    damaged: bool = False

    def commits(
        self,
        node: str,
        matches: Sequence[Line],
        after: str,
        now_s: float,
        excepted: Sequence[int] = (),
        *,
        held: Mapping[str, int] = NO_HOLDS,
    ) -> Commits:
        """Yield the commits that store these matches and move to the cursor `after`, which is behind them.

        `excepted` has, in order, for each excepted alert the number of matches before it. A commit counts those up to
        its cursor in the same step: so each is counted once, also if lines are read again. `held` has the ids of the
        matches that are held, with the end of the hold in ms since the epoch.

        Each commit gets its result before the next one; None means that the keys in Redis are damaged. A full backlog,
        damage and a moved cursor end it. Return the number of new deliveries.
        """
        if not matches and (now_s - self.committed_at_s < IDLE_COMMIT_S or self.signed(after) == self.committed):
            self.cursor = after
            self.uncommitted += len(excepted)
            return 0
        done = counted = 0  # of `matches` and of `excepted`
        stored, pending = 0, list(split_into_commits(matches)) or [[]]  # one empty commit moves the cursor
        while pending:  # changed in the loop: a chunk that does not fit is split in two
            chunk = pending.pop(0)
            target = chunk[-1].next_cursor if pending else after
            signed = self.signed(target)
            until = bisect_left(excepted, done + len(chunk)) if pending else len(excepted)
            new_excepted = self.uncommitted + until - counted
            result = yield Commit(
                node=node,
                expected=self.committed,
                cursor=signed,
                deliveries=[(f"{node}:{line.id}", line.raw) for line in chunk],
                max_backlog=self.policy.max_backlog,
                max_backlog_bytes=self.policy.max_backlog_bytes,
                excepted=new_excepted,
                held_until_ms={f"{node}:{line.id}": held[line.id] for line in chunk if line.id in held},
            )
            self.damaged = result is None
            match result:
                case None:  # logged by the ledger; the cursor does not move, so nothing is lost
                    self._return_to_committed()
                    self.retry_at_s = now_s + BACKPRESSURE_RETRY_S
                    return stored
                case Stored(new):
                    stored += new
                    self.cursor, self.committed, self.committed_at_s = target, signed, now_s
                    self.excepted, self.uncommitted = self.excepted + new_excepted, 0
                    done, counted = done + len(chunk), until
                case Full(0):
                    self._start_backpressure(now_s)
                    return stored
                case Full(room):
                    pending = [chunk[:room], chunk[room:], *pending]
                case Stale(cursor):
                    self._adopt_cursor(cursor)
                    return stored
        self._end_backpressure()
        return stored

    def is_ready(self, ledger: Ledger, now_s: float) -> bool:
        """Say whether to read for it now; under backpressure, this checks for room once a second."""
        if not self.backpressured and not self.damaged:
            return True
        if now_s < self.retry_at_s:
            return False
        limits = {"max_backlog": self.policy.max_backlog, "max_backlog_bytes": self.policy.max_backlog_bytes}
        try:
            has_room = ledger.room(self.integration.id, **limits) >= RESUME_FREE_RATIO
        except LedgerDamaged:
            has_room = False
        if not has_room:
            self.retry_at_s = now_s + BACKPRESSURE_RETRY_S
            return False
        return True

    def flush(self, node: str, now_s: float) -> Commits:
        """Yield the commit that writes the cursor, if it is not committed yet."""
        self.committed_at_s = now_s - IDLE_COMMIT_S
        return self.commits(node, [], self.cursor, now_s)

    def signed(self, cursor: str) -> str:
        """Return a cursor in the form that Redis stores."""
        return self.signer.signed(self.integration.id, cursor)

    def _start_backpressure(self, now_s: float) -> None:
        if not self.backpressured:
            _log.warning("backlog full; reading paused", extra=self._log_fields())
        self.backpressured, self.retry_at_s = True, now_s + BACKPRESSURE_RETRY_S

    def _end_backpressure(self) -> None:
        if self.backpressured:
            _log.info("backlog has room; reading resumed", extra=self._log_fields())
        self.backpressured, self.retry_at_s = False, 0.0

    def verify_cursor(self, held: str) -> None:
        """Compare with the cursor in Redis: after a silent reconnect it can be up to a second older."""
        if held != self.committed:
            self._adopt_cursor(held)

    def _adopt_cursor(self, held: str) -> None:
        """Continue at the cursor in Redis; if it is forged, the next commit replaces it.

        If Redis lost it, `committed` becomes empty, and `cursor` is where to continue.
        """
        if not held:
            _log.error(
                "cursor missing in Redis (emptied?); continuing from the last known cursor", extra=self._log_fields()
            )
            self._return_to_committed()
        elif self.signer.is_signed(self.integration.id, held):
            self.cursor, self.uncommitted = unsigned(held), 0
            _log.warning(
                "cursor in Redis was moved (by a second producer of this node, or a restored Redis); continuing there",
                extra=self._log_fields() | {"cursor": self.cursor},
            )
        else:
            self.replace_forged(held, self.cursor)
        self.committed = held
        self.committed_at_s = 0.0

    def _return_to_committed(self) -> None:
        """Read the lines behind the last commit again."""
        self.cursor, self.uncommitted = unsigned(self.committed) or self.cursor, 0

    def replace_forged(self, held: str, cursor: str) -> None:
        """Continue at `cursor`, because the one in Redis is forged."""
        _log.error(
            "cursor in Redis has no signature of this node's producer (moved by another writer); continuing from the "
            "last known cursor; no alert is lost",
            extra=self._log_fields() | {"held": ascii(held[:100]), "cursor": cursor},
        )
        self.cursor = cursor
        self.forged += 1

    def _log_fields(self) -> dict[str, object]:
        return {"integration": self.integration.id}


def split_into_commits(matches: Sequence[Line]) -> Iterable[list[Line]]:
    """Split matches into chunks within the limits of one commit."""
    chunk: list[Line] = []
    size = 0
    for match in matches:
        if chunk and (len(chunk) >= MAX_COMMIT_DELIVERIES or size + len(match.raw) > MAX_COMMIT_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(match)
        size += len(match.raw)
    if chunk:
        yield chunk
