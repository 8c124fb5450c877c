"""The moves of a delivery as methods; the scripts beside this file make them, and `__init__` explains them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from common.connection.errors import as_ledger_errors
from common.errors import UnreadableRecord
from common.integration import MANAGER_ID
from common.ledger import server_check
from common.ledger.calls import Calls
from common.ledger.dead_letters import read_dead_letters
from common.ledger.keys import cursor_key, keys_of, keys_with_cursor, limit_keys
from common.ledger.limits import UNLIMITED, Limits, health_signal
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import decode_record, encode_header, encode_record, id_bytes, id_text, is_usable_id, to_int
from common.ledger.status import read_status
from common.ledger.types import REAP_LIMIT, CommitResult, Full, Reap, Reaped, Release, Settled, Stale, Status, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from redis import Redis
    from redis.client import Pipeline

    from common.ledger.record import Delivery
    from common.ledger.types import DeadLetter, Settlement

RETAIN_LIMIT: Final = 1000
"""Dead letters that one retain gives up: Redis does nothing else meanwhile."""


_log = logging.getLogger("courier.ledger")


def _intake_keys(integration_id: str) -> list[str]:
    """Return the keys that a new delivery of an integration touches: records, waiting and totals."""
    records, waiting, _, _, _, totals, *_ = keys_of(integration_id)
    return [records, waiting, totals]


def _notification_keys(telling: Notifications) -> list[str]:
    return [*_intake_keys(MANAGER_ID), *(_intake_keys(telling.fallback) if telling.fallback else ())]


def _reap_call(integration_id: str, how: Reap) -> tuple[list[str], list[str | bytes | float]]:
    return [*keys_of(integration_id), *_notification_keys(how.notifications)], how.script_args()


class Ledger:
    """Every move of a delivery. All methods raise LedgerUnavailable or LedgerMisconfigured and nothing else of Redis.

    What concerns one integration raises LedgerDamaged where its keys hold what Courier did not write; what is asked for
    several leaves such an integration out. Either is logged once.

    `clock` returns seconds since the epoch; without one Redis's own clock is used, the one all machines share.
    """

    def __init__(self, client: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis, self._calls = client, Calls(client, clock)

    # -- the producer's side

    def cursor(self, integration_id: str, node: str) -> str:
        """Return the position that is committed for this node, '' if there is none yet."""
        (held,) = self._calls.ask(
            integration_id, lambda pipe: pipe.hget(cursor_key(integration_id), node), keys=keys_with_cursor
        )
        return id_text(held or b"")

    def cursors(self, integration_ids: Sequence[str], node: str) -> dict[str, str]:
        """Return the committed positions of several integrations at once, '' where there is none yet.

        One whose cursors cannot be read is left out.
        """
        found = self._calls.ask_all(
            {i: partial(_hget, cursor_key(i), node) for i in integration_ids}, keys=keys_with_cursor
        )
        return {i: id_text(held or b"") for i, held in found.items()}

    def forget_cursor(self, integration_id: str, node: str) -> None:
        """Forget the position of an integration that this node does not have any more."""
        self._calls.ask(integration_id, lambda pipe: pipe.hdel(cursor_key(integration_id), node), keys=keys_with_cursor)

    def room(self, integration_id: str, *, max_backlog: int, max_backlog_bytes: int) -> float:
        """Return the free part of the backlog, from 0 to 1, by count or bytes, whichever is less."""
        _, waiting_key, released_key, _, _, totals, *_ = keys_of(integration_id)

        def add(pipe: Pipeline) -> None:
            pipe.zcard(waiting_key)
            pipe.zcard(released_key)
            pipe.hget(totals, "bytes")

        waiting, released, held = self._calls.ask(integration_id, add)
        used: float = max((waiting + released) / max_backlog, to_int(held) / max_backlog_bytes)
        return max(0.0, 1 - used)

    def commit(
        self,
        integration_id: str,
        *,
        node: str,
        expected: str,
        cursor: str,
        deliveries: Sequence[tuple[str, bytes]],
        max_backlog: int,
        max_backlog_bytes: int,
        replayed: bool = False,
    ) -> CommitResult:
        """Store (id, alert) pairs and the new cursor in one step, if the cursor still is `expected`.

        `replayed` marks them as read from the log a second time, on purpose.
        """
        arguments: list[str | bytes | int] = [
            node,
            id_bytes(expected),
            cursor,
            max_backlog,
            max_backlog_bytes,
            int(replayed),
        ]
        for delivery in deliveries:
            arguments += delivery
        word, value = self._calls.run("commit", integration_id, *arguments, keys=keys_with_cursor(integration_id))
        if word == b"ok":
            return Stored(value)
        return Stale(id_text(value)) if word == b"stale" else Full(value)

    # -- from waiting to Celery

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        """Return those of the integrations of which anything waits or is released; all are asked at once."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                _, waiting, released, *_ = keys_of(integration_id)
                pipe.exists(waiting, released)
            found = pipe.execute()
        return {i for i, keys in zip(integration_ids, found, strict=True) if keys}

    def release(
        self,
        integration_id: str,
        *,
        max_in_flight: int,
        batch_max: int,
        lease_s: float,
        linger_s: float,
        limits: Limits = UNLIMITED,
        ids_per_task: int = 1,
        min_ids: int = 1,
    ) -> list[list[str]]:
        """Do for one integration, on such terms, what `release_all` does, which leaves a damaged one out."""
        how = Release(
            max_in_flight=max_in_flight,
            batch_max=batch_max,
            lease_s=lease_s,
            linger_s=linger_s,
            limits=limits,
            ids_per_task=ids_per_task,
            min_ids=min_ids,
        )
        return self.release_all({integration_id: how}).get(integration_id, [])

    def release_all(self, wanted: Mapping[str, Release]) -> dict[str, list[list[str]]]:
        """Move what may go now to released. Return, where anything does, the ids of each task to be published now."""
        calls = {i: (_limit_keys(i, how.limits), how.script_args()) for i, how in wanted.items()}
        released: dict[str, list[list[str]]] = {}
        for integration_id, (per_task, *ids) in self._calls.run_all("release", calls).items():
            if names := self._usable_ids(integration_id, ids):
                released[integration_id] = [names[at : at + per_task] for at in range(0, len(names), per_task)]
        return released

    def overdue(self, integration_ids: Collection[str]) -> dict[str, list[str]]:
        """Return released deliveries that nobody began before their lease expired, as many as one reap handles.

        All integrations are asked at once, and only those that have any are in the answer.
        """
        now_ms = self.now_ms()
        expired = self._calls.ask_all({i: partial(_expired, keys_of(i)[2], now_ms) for i in integration_ids})
        expired = {i: ids for i, ids in expired.items() if ids}
        begun = self._calls.ask_all({i: partial(_hmget, keys_of(i)[6], ids) for i, ids in expired.items()})
        free = {
            i: [id_text(one) for one, token in zip(expired[i], tokens, strict=True) if token is None]
            for i, tokens in begun.items()
        }
        return {i: ids for i, ids in free.items() if ids}

    def leases(self, integration_id: str) -> dict[str, str]:
        """Return the token under which each begun delivery is held, by delivery id."""
        (held,) = self._calls.ask(integration_id, lambda pipe: pipe.hgetall(keys_of(integration_id)[6]))
        return {id_text(i): id_text(token) for i, token in held.items()}

    def expire(self, integration_id: str, held: Mapping[str, str]) -> None:
        """Let leases (token by delivery id) end now, since their holder is gone; the next reap brings them back."""
        self.renew(integration_id, held, lease_s=0)

    def reap(
        self,
        integration_id: str,
        *,
        queued: Collection[str],
        lease_s: float,
        notifications: Notifications = NO_NOTIFICATIONS,
    ) -> Reaped:
        """Do for one integration, on such terms, what `reap_all` does."""
        keys, arguments = _reap_call(integration_id, Reap(queued=queued, lease_s=lease_s, notifications=notifications))
        return Reaped(*self._calls.run("reap", integration_id, *arguments, keys=keys))

    def reap_all(self, wanted: Mapping[str, Reap]) -> dict[str, Reaped]:
        """Bring back deliveries whose lease has expired, but not those that are merely still queued."""
        calls = {i: _reap_call(i, how) for i, how in wanted.items()}
        return {i: Reaped(*answer) for i, answer in self._calls.run_all("reap", calls).items()}

    # -- the worker's side

    def begin(
        self, integration_id: str, ids: Sequence[str], *, token: str, lease_s: float, limits: Limits = UNLIMITED
    ) -> list[Delivery]:
        """Take the lease of every id that is still released and free; return those deliveries.

        While something holds the integration back they wait again instead. One whose record cannot be read is a dead
        letter from now on, and left out.
        """
        keys = _limit_keys(integration_id, limits)
        now_ms, well_ms, *records = self._calls.run("begin", integration_id, token, _ms(lease_s), *ids, keys=keys)
        begun: list[Delivery] = []
        unreadable: list[str] = []
        for delivery_id, record in zip(ids, records, strict=True):
            if record:
                try:
                    begun.append(decode_record(delivery_id, record, now_ms, well_ms))
                except UnreadableRecord:
                    unreadable.append(delivery_id)
        if unreadable:
            self._bury_unreadable(integration_id, unreadable)
        return begun

    def renew(self, integration_id: str, held: Mapping[str, str], *, lease_s: float) -> None:
        """Extend the leases (token by delivery id) of what a worker still holds, all at once."""
        pairs = [id_bytes(part) for pair in held.items() for part in pair]
        self._calls.run("renew", integration_id, _ms(lease_s), *pairs)

    def settle(
        self,
        integration_id: str,
        settlements: Sequence[Settlement],
        *,
        token: str,
        last_error: str = "",
        last_error_mac: str = "",
        limits: Limits = UNLIMITED,
        notifications: Notifications = NO_NOTIFICATIONS,
    ) -> Settled:
        """Record how begun deliveries ended, with the events they caused, and what they say of the target.

        `last_error_mac` is the signature with which the manager may be told of `last_error`.
        """
        arguments: list[str | bytes | int] = [token, last_error, *limits.settle_args(), *notifications.settle_arg()]
        arguments.append(last_error_mac)
        for s in settlements:
            header = encode_header(s.header) if s.header else b""
            arguments += (s.id, s.outcome, s.reason, s.delay_ms, header, health_signal(s), s.pause_ms, len(s.events))
            for event in s.events:
                arguments += (event.id, event.payload)
        keys = [*_limit_keys(integration_id, limits), *_notification_keys(notifications)]
        count, breaker, until_ms, paused_until_ms, held = self._calls.run(
            "settle", integration_id, *arguments, keys=keys
        )
        return Settled(count, breaker.decode(), until_ms, paused_until_ms, bool(held))

    # -- the operator's side

    def dead_letters(self, integration_id: str, *, chunk: int = 500) -> Iterator[DeadLetter]:
        """Yield the dead letters, the oldest first, reading `chunk` at a time."""
        return read_dead_letters(self._calls, integration_id, chunk)

    def replay(self, integration_id: str, ids: Sequence[str], *, interval_s: float = 0.0, after_s: float = 0.0) -> int:
        """Let dead letters wait again, the first after `after_s`, then one every `interval_s`. Return how many.

        An unreadable one stays dead.
        """
        return int(self._calls.run("replay", integration_id, _ms(after_s), _ms(interval_s), *map(id_bytes, ids)))

    def move(self, integration_id: str, ids: Sequence[str], *, to: str) -> int:
        """Let dead letters wait in another integration. Return how many; one that is there already stays dead here."""
        return int(
            self._calls.run(
                "move", integration_id, *map(id_bytes, ids), keys=[*keys_of(integration_id), *_intake_keys(to)]
            )
        )

    def bury(self, integration_id: str, *, reason: str, limit: int = 1000) -> int:
        """Make dead letters of what waits, up to `limit` of it, so that it can be read, moved or discarded."""
        return int(self._calls.run("bury", integration_id, reason, limit))

    def discard(self, integration_id: str, ids: Sequence[str]) -> int:
        """Forget dead letters for good, counted. Return how many were dead."""
        return int(self._calls.run("discard", integration_id, *map(id_bytes, ids)))

    def import_dead(self, integration_id: str, letters: Sequence[DeadLetter]) -> int:
        """Take up dead letters from elsewhere. Return how many; what is here already, in any state, stays as it is."""
        arguments: list[str | bytes | int] = []
        for one in letters:
            arguments += (one.delivery.id, one.died_ms, encode_record(one.delivery))
        return int(self._calls.run("import", integration_id, *arguments))

    def retain(
        self, integration_id: str, *, max_age_s: float | None, max_bytes: int | None, limit: int = RETAIN_LIMIT
    ) -> int:
        """Give up the oldest dead letters beyond an age or a size, counted, up to `limit`. Return how many."""
        longest_ms = "" if max_age_s is None else _ms(max_age_s)
        return int(self._calls.run("retain", integration_id, longest_ms, "" if max_bytes is None else max_bytes, limit))

    def status(self, integration_id: str) -> Status:
        """Return counts, counters, what holds it back, and the age of the oldest of the next hundred that are due."""
        with as_ledger_errors():
            return read_status(self._redis, integration_id, self.now_ms())

    def pause(self, integration_id: str, reason: str = "") -> bool:
        """Send nothing more of an integration until it is resumed. Return whether it was not paused before."""
        control, now_ms = keys_of(integration_id)[4], self.now_ms()
        (fresh,) = self._calls.ask(integration_id, lambda pipe: pipe.hsetnx(control, "paused_ms", str(now_ms)))
        if fresh or reason:
            self._calls.ask(integration_id, lambda pipe: pipe.hset(control, "pause_reason", reason))
        return bool(fresh)

    def resume(self, integration_id: str) -> bool:
        """Let a paused integration go on. Return whether it was paused."""
        control = keys_of(integration_id)[4]
        (gone,) = self._calls.ask(integration_id, lambda pipe: pipe.hdel(control, "paused_ms", "pause_reason"))
        return bool(gone)

    # -- Redis itself

    def check_server(self) -> list[str]:
        """Raise LedgerMisconfigured if Redis may evict keys; return warnings about what is merely unwise."""
        return server_check.check(self._redis)

    def disk_error(self) -> str:
        """Return why Redis refuses all changes, empty if it does not."""
        return server_check.disk_error(self._redis)

    def intake_block_reason(self) -> str:
        """Return why nothing should be added right now, empty if there is no reason: cheap, to be asked often."""
        return server_check.intake_block_reason(self._redis)

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        return self._calls.now_ms()

    def _usable_ids(self, integration_id: str, ids: Sequence[bytes]) -> list[str]:
        """Return the ids that a queue message can carry; the others are dead letters from now on."""
        names = [id_text(i) for i in ids]
        if odd := [name for name in names if not is_usable_id(name)]:
            self._bury_unreadable(integration_id, odd)
            names = [name for name in names if is_usable_id(name)]
        return names

    def _bury_unreadable(self, integration_id: str, ids: Sequence[str]) -> None:
        """Make dead letters of released deliveries that no worker can read."""
        number = self._calls.run("bury_unreadable", integration_id, *map(id_bytes, ids))
        _log.error(
            "unreadable deliveries are dead letters now: somebody else writes to Redis; see `courier dead list`",
            extra={"integration": integration_id, "deliveries": number},
        )


def _limit_keys(integration_id: str, pace: Limits) -> list[str]:
    return [*keys_of(integration_id), *limit_keys(pace.target or integration_id)]


def _hget(key: str, field: str, pipe: Pipeline) -> None:
    pipe.hget(key, field)


def _hmget(key: str, fields: Sequence[bytes], pipe: Pipeline) -> None:
    pipe.hmget(key, fields)


def _expired(released: str, now_ms: int, pipe: Pipeline) -> None:
    pipe.zrange(released, "-inf", now_ms, byscore=True, offset=0, num=REAP_LIMIT)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
