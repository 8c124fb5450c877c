"""What goes into the ledger's moves and what comes out of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from common.ledger.limits import UNLIMITED, Limits
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import Delivery, Header

MAX_LOST_ATTEMPTS: Final = 10
"""Attempts whose worker died before a delivery is called the cause and buried."""

REAP_LIMIT: Final = 1000
"""Expired leases that one reap handles; the next comes a second later."""


class Stored(msgspec.Struct, frozen=True):
    """The commit happened; `stored` deliveries are new."""

    stored: int


class Stale(msgspec.Struct, frozen=True):
    """The commit was refused: the cursor is at `cursor`, so another producer was here or Redis is younger."""

    cursor: str


class Full(msgspec.Struct, frozen=True):
    """The commit was refused: the backlog has room for only `room` deliveries."""

    room: int


CommitResult = Stored | Stale | Full


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms what may go now moves to released, for tasks that must then be published.

    Where more than a few go at once, each task carries `together` at least; up to `batch_max` when much is in flight.
    While some are in flight less than `least` waits for company, at most as long as the linger.
    """

    max_in_flight: int
    batch_max: int
    lease_s: float
    linger_s: float
    limits: Limits = UNLIMITED
    ids_per_task: int = 1
    min_ids: int = 1

    def script_args(self) -> list[str | bytes | float]:
        """Return the arguments of the script `release`."""
        sizes = [self.max_in_flight, self.batch_max, self.ids_per_task, self.min_ids]
        return [*sizes, round(1000 * self.lease_s), round(1000 * self.linger_s), *self.limits.release_args()]


class Reap(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms deliveries whose lease has expired come back; not those that are merely still `queued`.

    One that has had `max_attempts`, those whose worker died among them, is dead.
    """

    queued: Collection[str]
    lease_s: float
    notifications: Notifications = NO_NOTIFICATIONS
    max_attempts: int = 1_000_000

    def script_args(self) -> list[str | bytes | float]:
        """Return the arguments of the script `reap`."""
        lease_ms = round(1000 * self.lease_s)
        return [
            lease_ms,
            MAX_LOST_ATTEMPTS,
            self.max_attempts,
            REAP_LIMIT,
            *self.notifications.reap_args(),
            *self.queued,
        ]


class Event(msgspec.Struct, frozen=True):
    """A delivery for the built-in integration `manager`: its deterministic id and what to inject."""

    id: str
    payload: bytes


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How one begun delivery ended: delivered, skipped, retry or dead; the last two need the new `header`.

    Or it was returned: no attempt was made, it waits again at the head of the queue. Or postponed: the same, but it
    waits for `delay_ms`, and `header` keeps what of it is done.

    `asked` says whether the target was asked at all: if not, it spent nothing of its limits. `final` says that the
    failure is this delivery's own: no further attempt can mend it.

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
    contacted: bool = True
    final: bool = False

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
    is_blocked: bool = False


class Reaped(msgspec.Struct, frozen=True):
    """What a reap found: attempts whose worker died, deliveries nobody had begun, and those that died of it."""

    lost: int
    released_again: int
    dead: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead delivery and when it died, in ms since the epoch.

    `problem` says why its record cannot be read, empty if it can; the alert then is all that Redis holds of it.
    """

    delivery: Delivery
    died_ms: int
    problem: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `courier status` shows of one integration. Ages are in seconds; None where nothing waits.

    `paused_ms` is when an operator paused it, 0 if nobody did; `target_until_ms` the end of a pause that the target
    asked for and `breaker_until_ms` of the breaker's, 0 if there is none. `breaker` is closed, open or half-open, and
    `breaker_reason` the reason of the failure that opened it. `failed` is how many of those that wait have failed.
    `limits` has for each how many may go now. `damaged` are the keys of the wrong type.
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
    breaker_reason: str = ""
    failed: int = 0
    limits: dict[str, int] = {}
    damaged: tuple[str, ...] = ()
