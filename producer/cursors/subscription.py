"""Subscriptions: each integration follows the source with its own cursor, like a consumer group.

Normally all cursors are equal and the source is read once for all. An integration with a full backlog is under
backpressure: its cursor stays, reading is retried after a pause, and it then reads alone until it has caught up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from common.errors import LedgerDamaged
from common.ledger import NO_HOLDS, Closed, Commit, Full, Stale, Stored
from producer.cursors.signatures import unsigned
from producer.read_result import NO_COUNTS, START, ReadResult

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import CommitResult, Ledger
    from common.settings.schema import Policy
    from producer.cursors.signatures import CursorSigner
    from producer.digests.folder import Folder
    from producer.read_result import Counts
    from producer.source import Line

    Commits = Generator[Commit, CommitResult | None, int]

BACKPRESSURE_RETRY_S: Final = 1.0
"""Interval between checks whether a full backlog has room again."""

RESUME_FREE_RATIO: Final = 0.05
"""The free share of a backlog from which reading resumes. Each time, a batch is read and matched again."""

IDLE_COMMIT_S: Final = 1.0
"""A cursor that moved without matches is written at most this often: reading those lines again is harmless."""

MAX_COMMIT_DELIVERIES: Final = 500
MAX_COMMIT_FOLDED: Final = 4_000
MAX_COMMIT_PARTS: Final = 1_000
"""A commit that folds has more alerts if they are of few groups: deliveries and parts (`common.ledger.Part`) cost."""

MAX_COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Limits of one commit; Redis serves no other client while its script runs."""

_log = logging.getLogger("courier.producer")


@dataclass(slots=True)
class Subscription:
    """The reading state of one integration. `cursor` is how far it has read, `committed` the signed cursor in Redis.

    While its keys in Redis are `damaged` its cursor stays, as under backpressure. `forged` counts the forged cursors
    found in Redis since the last report, `excepted` the excepted alerts that were committed since then; `uncommitted`
    counts the alerts between `committed` and `cursor`. `closed` has the silences that turned out to have ended. With
    a `folder` alerts are folded into digests.
    """

    integration: Integration
    policy: Policy
    cursor: str
    committed: str
    signer: CursorSigner
    forged: int = 0
    excepted: int = 0
    uncommitted: Counts = NO_COUNTS
    closed: set[str] = field(default_factory=set)
    folder: Folder | None = None
    committed_at_s: float = 0.0
    retry_at_s: float = 0.0
    backpressured: bool = False
    damaged: bool = False

    def commits(
        self,
        node: str,
        reading: ReadResult,
        after: str,
        now_s: float,
        *,
        held: Mapping[str, int] = NO_HOLDS,
        ledger_ms: int = 0,
    ) -> Commits:
        """Yield the commits that store the matches of a read and move to the cursor `after`, which is behind them.

        A commit counts all alerts up to its cursor in the same step: so each is counted once, also if lines are read
        again. `held` has the ids of the matches that are held, with the end of the hold in ms since the epoch.
        `ledger_ms` is the ledger's time, which only a folder needs.

        Each commit gets its result before the next one; None means that the keys in Redis are damaged. A full backlog,
        damage, a moved cursor and a closed silence end it. Return the number of new deliveries and folded alerts.
        """
        ours = self.integration.id
        matches = reading.matches.get(ours, ())
        if not matches and (now_s - self.committed_at_s < IDLE_COMMIT_S or self.signed(after) == self.committed):
            self.cursor = after
            self.uncommitted += reading.all_counts(ours)
            return 0
        done, end = START, reading.end(ours)
        most = MAX_COMMIT_FOLDED if self.folder else MAX_COMMIT_DELIVERIES
        stored, pending = 0, list(split_into_commits(matches, most)) or [[]]  # one empty commit moves the cursor
        while pending:  # changed in the loop: a chunk that does not fit is split in two
            chunk = pending.pop(0)
            lines, folds, holds = self.folder.fold(chunk, held, ledger_ms) if self.folder else (chunk, None, held)
            parts = len(lines) + (len(folds.parts) if folds else 0)
            if parts > MAX_COMMIT_PARTS and len(chunk) > MAX_COMMIT_DELIVERIES:
                half = len(chunk) // 2
                pending = [chunk[:half], chunk[half:], *pending]
                continue
            target = chunk[-1].next_cursor if pending else after
            signed = self.signed(target)
            until = reading.mark(ours, done.matches + len(chunk), chunk[-1]) if pending else end
            counts = self.uncommitted + reading.counts(ours, done, until)
            result = yield Commit(
                node=node,
                expected=self.committed,
                cursor=signed,
                deliveries=[(f"{node}:{line.id}", line.raw) for line in lines],
                max_backlog=self.policy.max_backlog,
                max_backlog_bytes=self.policy.max_backlog_bytes,
                counters=counts.totals,
                silenced=counts.silenced,
                held_until_ms={f"{node}:{line.id}": holds[line.id] for line in lines if line.id in holds},
                folds=folds,
            )
            self.damaged = result is None
            match result:
                case None:  # logged by the ledger; the cursor does not move, so nothing is lost
                    self._return_to_committed()
                    self.retry_at_s = now_s + BACKPRESSURE_RETRY_S
                    return stored
                case Stored(new, folded):
                    stored += new + folded
                    self.cursor, self.committed, self.committed_at_s = target, signed, now_s
                    self.excepted, self.uncommitted = self.excepted + counts.excepted, NO_COUNTS
                    done = until
                case Full(0):
                    self._start_backpressure(now_s)
                    return stored
                case Full(room):
                    pending = [chunk[:room], chunk[room:], *pending]
                case Closed(silence_id):  # by another producer, whose clock is the same: match these alerts again
                    self.closed.add(silence_id)
                    self._return_to_committed()
                    return stored
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
        return self.commits(node, ReadResult(), self.cursor, now_s)

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
            self.cursor, self.uncommitted = unsigned(held), NO_COUNTS
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
        self.cursor, self.uncommitted = unsigned(self.committed) or self.cursor, NO_COUNTS

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


def split_into_commits(matches: Sequence[Line], most: int = MAX_COMMIT_DELIVERIES) -> Iterable[list[Line]]:
    """Split matches into chunks within the limits of one commit, of at most `most` lines."""
    chunk: list[Line] = []
    size = 0
    for match in matches:
        if chunk and (len(chunk) >= most or size + len(match.raw) > MAX_COMMIT_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(match)
        size += len(match.raw)
    if chunk:
        yield chunk
