"""What goes into the ledger's moves and what comes out of them."""

from __future__ import annotations

import msgspec

from common.ledger.record import Delivery, Header


class Stored(msgspec.Struct, frozen=True):
    """The commit happened; `stored` deliveries are new."""

    stored: int


class Stale(msgspec.Struct, frozen=True):
    """The commit was refused: the cursor is at `cursor`, so another producer was here or Redis is younger."""

    cursor: str


class Full(msgspec.Struct, frozen=True):
    """The commit was refused: the backlog has room for only `room` deliveries."""

    room: int


Commit = Stored | Stale | Full


class Event(msgspec.Struct, frozen=True):
    """A delivery for the built-in integration `manager`: its deterministic id and what to inject."""

    id: str
    payload: bytes


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How one begun delivery ended: delivered, skipped, retry or dead; the last two need the new `header`.

    Or it was returned: no attempt was made, it waits again at the head of the queue. Or postponed: the same, but it
    waits for `delay_ms`, and `header` keeps what of it is done.

    `asked` says whether the target was asked at all: if not, it spent nothing of its limits.

    `delay_ms` is how long a retry waits, `pause_ms` how long the whole target asked to be left alone, both by the
    ledger's clock.
    """

    id: str
    outcome: str
    reason: str = ""
    delay_ms: int = 0
    pause_ms: int = 0
    header: Header | None = None
    events: tuple[Event, ...] = ()
    asked: bool = True

    @property
    def failed(self) -> bool:
        """Whether an attempt failed; the last entry of the header's history then says why."""
        return self.outcome in {"retry", "dead"}


class Settled(msgspec.Struct, frozen=True):
    """What a settle did: `count` deliveries were not too late, and what that means for the target.

    `breaker` is `open` or `closed` if this very settle made it so, `until_ms` then the end of its pause;
    `paused_until_ms` is the end of a pause that the target asked for, if there was none before. `held` says that
    something, new or not, holds the integration back: what is not under way yet had better be returned.
    """

    count: int
    breaker: str = ""
    until_ms: int = 0
    paused_until_ms: int = 0
    held: bool = False


class Reaped(msgspec.Struct, frozen=True):
    """What a reap found: attempts whose worker died, deliveries nobody had begun, and those that died of it."""

    lost: int
    released_again: int
    dead: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead delivery and when it died, in ms since the epoch."""

    delivery: Delivery
    died_ms: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `courier status` shows of one integration. Ages are in seconds; None where nothing waits.

    `paused_ms` is when an operator paused it, 0 if nobody did; `target_until_ms` the end of a pause that the target
    asked for and `breaker_until_ms` of the breaker's, 0 if there is none. `breaker` is closed, open or half-open.
    `limits` has for each how many may go now.
    """

    waiting: int
    released: int
    dead: int
    oldest_age_s: float | None
    totals: dict[str, int]
    cursors: dict[str, str]
    last_error: str
    last_error_ms: int
    paused_ms: int = 0
    pause_reason: str = ""
    target_until_ms: int = 0
    breaker: str = "closed"
    breaker_until_ms: int = 0
    limits: dict[str, int] = {}
