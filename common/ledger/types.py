"""Parameters and results of the ledger's operations, but for those of `commit` (`commit_types.py`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from common.ledger.enums import BreakerState, SettleOutcome
from common.ledger.limits import UNLIMITED, Limits, health_signal
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import Delivery, Header, encode_header

MAX_LOST_ATTEMPTS: Final = 10
"""Attempts whose worker died before a delivery becomes a dead letter: it probably causes the crashes."""

REAP_LIMIT: Final = 1000
"""Maximum number of expired leases that one reap handles; the next reap runs a second later."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a release.

    A task carries up to `ids_per_task` deliveries, and up to `batch_max` when many are in flight. While others are in
    flight, fewer than `min_ids` due deliveries wait for more, up to `linger_s`.
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
    """Parameters of a reap. Deliveries whose task is still in the queue (`queued`) do not return to waiting.

    A delivery with `max_attempts` attempts becomes a dead letter. Attempts whose worker died count, too.
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


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a begin: the ids whose leases a worker takes for `lease_s`."""

    ids: Sequence[str]
    lease_s: float
    limits: Limits = UNLIMITED

    def script_args(self, token: str) -> list[str | bytes | float]:
        """Return the arguments of the script `begin`; `token` is that of the worker."""
        return [token, round(1000 * self.lease_s), *self.ids]


class Event(msgspec.Struct, frozen=True):
    """A delivery for the built-in integration `manager`: its deterministic id and the event to inject."""

    id: str
    payload: bytes


_ENDS: Final = (SettleOutcome.DELIVERED, SettleOutcome.SKIPPED, SettleOutcome.DEAD)


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a begun delivery ended. Retry and dead need the new `header`.

    `returned` means that no attempt was made: the delivery goes back to the head of the queue. `postponed` means the
    same, but the delivery waits for `delay_ms`, and `header` keeps the calls that are completed.

    `contacted` is whether the target was contacted; if not, the delivery's rate limit tokens are refunded. `final`
    means that this delivery causes the failure and no further attempt can succeed. `facts` are for the entry in the
    history (`common.ledger.history`); without them there is none. `status` is the HTTP or exit
    status of the response that decided, for the log; the ledger does not store it.

    `delay_ms` is how long a retry waits. `pause_ms` is the pause that the target requested for all deliveries. Both are
    by the ledger's clock.
    """

    id: str
    outcome: SettleOutcome
    reason: str = ""
    delay_ms: int = 0
    pause_ms: int = 0
    header: Header | None = None
    events: tuple[Event, ...] = ()
    contacted: bool = True
    final: bool = False
    status: int | None = None
    facts: bytes = b""

    @property
    def ends(self) -> bool:
        """Whether the delivery ends, so that it gets an entry in the history."""
        return self.outcome in _ENDS

    @property
    def failed(self) -> bool:
        """Whether an attempt failed. The last entry of the header's history then has the reason."""
        return self.outcome in {SettleOutcome.RETRY, SettleOutcome.DEAD}


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of a settle: the outcomes of begun deliveries.

    `last_error_mac` signs `last_error`, so that a notification of the manager can include it. With `release`, the next
    deliveries are released in the same round trip.
    """

    settlements: Sequence[Settlement]
    last_error: str = ""
    last_error_mac: str = ""
    limits: Limits = UNLIMITED
    notifications: Notifications = NO_NOTIFICATIONS
    release: Release | None = None

    def script_args(self, token: str) -> list[str | bytes | float]:
        """Return the arguments of the script `settle`; `token` is that of the worker."""
        arguments: list[str | bytes | float] = [token, self.last_error, *self.limits.settle_args()]
        arguments += (*self.notifications.settle_arg(), self.last_error_mac)
        for s in self.settlements:
            header = encode_header(s.header) if s.header else b""
            arguments += (s.id, s.outcome, s.reason, s.delay_ms, header, health_signal(s), s.pause_ms)
            arguments += (s.facts, len(s.events))
            for event in s.events:
                arguments += (event.id, event.payload)
        return arguments


class Settled(msgspec.Struct, frozen=True):
    """The result of a settle: `count` outcomes were recorded, the others were too late.

    `breaker` is its new state if this settle opened or closed it, else None; `until_ms` is then the end of its pause.
    `paused_until_ms` is the end of a pause that the target requested, if there was none before. `is_blocked` is whether
    the integration is blocked now; the worker should return the deliveries that it has not started to send. `tasks`
    holds the ids of each task to publish, if the settle also released. `is_waiting` is whether a delivery waited before
    that release.
    """

    count: int
    breaker: BreakerState | None = None
    until_ms: int = 0
    paused_until_ms: int = 0
    is_blocked: bool = False
    is_waiting: bool = False
    tasks: list[list[str]] = []


class Reaped(msgspec.Struct, frozen=True):
    """The result of a reap: attempts whose worker died, deliveries to release again, and new dead letters."""

    lost: int
    released_again: int
    dead: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead letter and its time of death, in ms since the epoch.

    `problem` is why its record cannot be read, '' if it can. If it cannot, `delivery.alert` is the whole record.
    """

    delivery: Delivery
    died_ms: int
    problem: str = ""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a delivery is: waiting behind `ahead` others, begun by a worker, or dead; if none of them, released."""

    ahead: int | None = None
    is_begun: bool = False
    is_dead: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one integration, as `courier status` and the metrics show it.

    `oldest_age_s` is the age of the oldest delivery that waits, `unsettled_age_s` that of the oldest that waits or is
    released; None if there is none. `overdue_s` is the time since the first due delivery could have been sent, 0 if
    none is due.

    `paused_ms` is when an operator paused it, 0 if it is not paused, and `paused_until_ms` the end of that pause, 0 if
    it has none. `target_until_ms` and `breaker_until_ms` are the
    ends of the pauses of the target and of the breaker, 0 if there is none. `breaker_reason` is the reason of the
    failure that opened the breaker. `failed` is the number of waiting deliveries that have
    failed. `held` is the number of held deliveries by the end of their hold, the earliest first.
    `groups` is the number of open groups, and `in_groups` that of the alerts that are folded into them.
    `limits` is the number of remaining tokens by limit. `damaged` lists the keys of the wrong type.
    """

    waiting: int
    released: int
    dead: int
    oldest_age_s: float | None
    totals: dict[str, int]
    cursors: dict[str, str]
    last_error: str
    last_error_ms: int
    unsettled_age_s: float | None = None
    overdue_s: float = 0.0
    paused_ms: int = 0
    pause_reason: str = ""
    paused_until_ms: int = 0
    target_until_ms: int = 0
    breaker: BreakerState = BreakerState.CLOSED
    breaker_until_ms: int = 0
    breaker_reason: str = ""
    failed: int = 0
    held: dict[int, int] = {}
    groups: int = 0
    in_groups: int = 0
    limits: dict[str, int] = {}
    damaged: tuple[str, ...] = ()
