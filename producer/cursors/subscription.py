"""Who reads where: each integration follows the alert log with a cursor of its own, like a consumer group.

Normally all stand at the same place and the log is read once for all. One whose backlog is full is *parked*: its cursor
stays, it is tried again after a pause, and reads on by itself until it has caught up with the others.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from common.errors import LedgerDamaged
from common.ledger import Full, Stale, Stored
from producer.cursors.signatures import unsigned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from common.integration import Integration
    from common.ledger import Ledger
    from common.settings.schema import Policy
    from producer.cursors.signatures import CursorSigner
    from producer.log_lines import LogLine

BACKPRESSURE_RETRY_S: Final = 1.0
"""How long a full backlog is left alone before it is tried again."""

RESUME_FREE_RATIO: Final = 0.05
"""The free part of a backlog that makes reading on worth it: a batch is read and matched again for it."""

IDLE_COMMIT_S: Final = 1.0
"""A cursor that moved over alerts which did not match is written at most this often: reading them again is harmless."""

MAX_COMMIT_DELIVERIES: Final = 500
MAX_COMMIT_BYTES: Final = 4 * 1024 * 1024
"""Most that one commit carries; a script that runs longer would hold up everybody else's."""

_log = logging.getLogger("courier.producer")


@dataclass(slots=True)
class Subscription:
    """One integration as a reader. `committed` is what Redis holds, the signed cursor; `cursor` is how far it has read.

    While its keys in Redis are `damaged` it stays at its cursor, as one that is parked. `forged` counts the cursors of
    somebody else's that were found in Redis, until it is set back.
    """

    integration: Integration
    policy: Policy
    cursor: str
    committed: str
    signer: CursorSigner
    forged: int = 0
    committed_at_s: float = 0.0
    retry_at_s: float = 0.0
    backpressured: bool = False
    damaged: bool = False

    def commit_matches(self, ledger: Ledger, node: str, matches: Sequence[LogLine], after: str, now_s: float) -> int:
        """Commit these matches, which end before the cursor `after`, and move there; stop where the backlog is full.

        Return how many deliveries are new. Raises LedgerUnavailable or LedgerMisconfigured.
        """
        try:
            stored = self._commit_matches(ledger, node, matches, after, now_s)
        except LedgerDamaged:  # logged by the ledger; the cursor is where it was, so nothing is lost
            self.cursor = unsigned(self.committed) or self.cursor
            self.damaged, self.retry_at_s = True, now_s + BACKPRESSURE_RETRY_S
            return 0
        self.damaged = False
        return stored

    def _commit_matches(self, ledger: Ledger, node: str, matches: Sequence[LogLine], after: str, now_s: float) -> int:
        if not matches and (now_s - self.committed_at_s < IDLE_COMMIT_S or self.signed(after) == self.committed):
            self.cursor = after
            return 0
        stored, pending = 0, list(split_into_commits(matches)) or [[]]
        while pending:
            chunk = pending.pop(0)
            target = chunk[-1].next_cursor if pending else after
            signed = self.signed(target)
            result = ledger.commit(
                self.integration.id,
                node=node,
                expected=self.committed,
                cursor=signed,
                deliveries=[(f"{node}:{line.id}", line.raw) for line in chunk],
                max_backlog=self.policy.max_backlog,
                max_backlog_bytes=self.policy.max_backlog_bytes,
            )
            match result:
                case Stored(new):
                    stored += new
                    self.cursor, self.committed, self.committed_at_s = target, signed, now_s
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
        """Say whether to read for it now; one that is parked waits for room, which costs one question a second."""
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

    def flush(self, ledger: Ledger, node: str, now_s: float) -> None:
        """Write the cursor that is still held back. Raises LedgerUnavailable or LedgerMisconfigured."""
        self.committed_at_s = now_s - IDLE_COMMIT_S
        self.commit_matches(ledger, node, [], self.cursor, now_s)

    def signed(self, cursor: str) -> str:
        """Return a cursor as Redis is to hold it."""
        return self.signer.signed(self.integration.id, cursor)

    def _start_backpressure(self, now_s: float) -> None:
        if not self.backpressured:
            _log.warning("backlog full: parked; its alerts wait in the alert log", extra=self._log_fields())
        self.backpressured, self.retry_at_s = True, now_s + BACKPRESSURE_RETRY_S

    def _end_backpressure(self) -> None:
        if self.backpressured:
            _log.info("backlog has room again: reading on", extra=self._log_fields())
        self.backpressured, self.retry_at_s = False, 0.0

    def verify_cursor(self, held: str) -> None:
        """Compare with the cursor that Redis holds: after a silent reconnect it may be a second younger."""
        if held != self.committed:
            self._adopt_cursor(held)

    def _adopt_cursor(self, held: str) -> None:
        """Take the cursor that Redis holds, unless somebody else wrote it: then the next commit replaces it.

        If Redis lost it, `committed` is empty and `cursor` where to go on.
        """
        if not held:
            _log.error(
                "Redis has forgotten the cursor (emptied?); going on from where it was", extra=self._log_fields()
            )
            self.cursor = unsigned(self.committed) or self.cursor
        elif self.signer.is_signed(self.integration.id, held):
            self.cursor = unsigned(held)
            _log.warning(
                "somebody else moved the cursor (a second producer of this node, or a restored Redis); going there",
                extra=self._log_fields() | {"cursor": self.cursor},
            )
        else:
            self.replace_forged(held, self.cursor)
        self.committed = held
        self.committed_at_s = 0.0

    def replace_forged(self, held: str, cursor: str) -> None:
        """Go on at `cursor`, since what Redis holds was written by somebody else."""
        _log.error(
            "the cursor in Redis has no signature of this node's producer: somebody else moved it; going on from where "
            "it was, so that no alert is lost",
            extra=self._log_fields() | {"held": ascii(held[:100]), "cursor": cursor},
        )
        self.cursor = cursor
        self.forged += 1

    def _log_fields(self) -> dict[str, object]:
        return {"integration": self.integration.id}


def split_into_commits(matches: Sequence[LogLine]) -> Iterable[list[LogLine]]:
    """Split matches into what one commit carries."""
    chunk: list[LogLine] = []
    size = 0
    for match in matches:
        if chunk and (len(chunk) >= MAX_COMMIT_DELIVERIES or size + len(match.raw) > MAX_COMMIT_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(match)
        size += len(match.raw)
    if chunk:
        yield chunk
