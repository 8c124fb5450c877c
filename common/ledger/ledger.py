"""The operations of the ledger as methods. The docstring of this package explains the scripts that they run."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from common.connection.errors import as_ledger_errors
from common.errors import LedgerDamaged, UnreadableRecord
from common.integration import MANAGER_ID
from common.ledger import server_check
from common.ledger.calls import Calls, undamaged
from common.ledger.dead_letters import read_dead_letters
from common.ledger.enums import BreakerState
from common.ledger.keys import cursor_key, keys_of, keys_with_cursor, limit_keys
from common.ledger.limits import UNLIMITED, Limits, health_signal
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import decode_record, encode_header, encode_record, id_bytes, id_text, is_usable_id, to_int
from common.ledger.status import read_statuses
from common.ledger.types import (
    REAP_LIMIT,
    Commit,
    CommitResult,
    Full,
    Reap,
    Reaped,
    Release,
    Settled,
    Stale,
    Status,
    Stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from redis import Redis
    from redis.client import Pipeline

    from common.ledger.record import Delivery
    from common.ledger.scripts import Call
    from common.ledger.types import DeadLetter, Settlement

RETAIN_LIMIT: Final = 1000
"""Maximum number of dead letters that one `retain` deletes, because a script blocks Redis while it runs."""


_log = logging.getLogger("courier.ledger")


def _intake_keys(integration_id: str) -> list[str]:
    """Return the keys that a new delivery of an integration changes: records, waiting and totals."""
    keys = keys_of(integration_id)
    return [keys.records, keys.waiting, keys.totals]


def _notification_keys(notifications: Notifications) -> list[str]:
    fallback = notifications.fallback
    return [*_intake_keys(MANAGER_ID), *(_intake_keys(fallback) if fallback else ())]


def _reap_call(integration_id: str, terms: Reap) -> tuple[list[str], list[str | bytes | float]]:
    return [*keys_of(integration_id), *_notification_keys(terms.notifications)], terms.script_args()


def _release_calls(wanted: Mapping[str, Release]) -> dict[str, Call]:
    return {i: (_limit_keys(i, terms.limits), terms.script_args()) for i, terms in wanted.items()}


def _commit_result(result: list[Any]) -> CommitResult:
    kind, value = result
    if kind == b"ok":
        return Stored(value)
    return Stale(id_text(value)) if kind == b"stale" else Full(value)


class Ledger:
    """All operations on deliveries.

    Every method raises LedgerUnavailable or LedgerMisconfigured, and no error of the Redis client. Methods for one
    integration also raise LedgerDamaged if another program wrote to its keys. Methods for several integrations leave a
    damaged one out of the result. Both log the damage once.

    `clock` returns seconds since the epoch. The default is the clock of Redis, which all machines share.
    """

    def __init__(self, client: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis, self._calls = client, Calls(client, clock)

    # -- for the producer

    def cursor(self, integration_id: str, node: str) -> str:
        """Return the committed cursor of a node, '' if there is none."""
        (held,) = self._calls.ask(
            integration_id, lambda pipe: pipe.hget(cursor_key(integration_id), node), keys=keys_with_cursor
        )
        return id_text(held or b"")

    def cursors(self, integration_ids: Sequence[str], node: str) -> dict[str, str]:
        """Return the committed cursors of a node by integration, '' where there is none, in one round trip.

        An integration whose cursors cannot be read is left out.
        """
        found = self._calls.ask_all(
            {i: partial(_hget, cursor_key(i), node) for i in integration_ids}, keys=keys_with_cursor
        )
        return {i: id_text(held or b"") for i, held in found.items()}

    def forget_cursor(self, integration_id: str, node: str) -> None:
        """Delete the cursor of an integration that the node no longer has."""
        self._calls.ask(integration_id, lambda pipe: pipe.hdel(cursor_key(integration_id), node), keys=keys_with_cursor)

    def room(self, integration_id: str, *, max_backlog: int, max_backlog_bytes: int) -> float:
        """Return the free share of the backlog, from 0 to 1: the smaller of the shares by count and by bytes."""
        keys = keys_of(integration_id)

        def add(pipe: Pipeline) -> None:
            pipe.zcard(keys.waiting)
            pipe.zcard(keys.released)
            pipe.hget(keys.totals, "bytes")

        waiting, released, stored_bytes = self._calls.ask(integration_id, add)
        used: float = max((waiting + released) / max_backlog, to_int(stored_bytes) / max_backlog_bytes)
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
        """Run one commit of `commit_all`. Also raises LedgerDamaged."""
        terms = Commit(
            node=node,
            expected=expected,
            cursor=cursor,
            deliveries=deliveries,
            max_backlog=max_backlog,
            max_backlog_bytes=max_backlog_bytes,
            replayed=replayed,
        )
        arguments = terms.script_args()
        return _commit_result(
            self._calls.run("commit", integration_id, *arguments, keys=keys_with_cursor(integration_id))
        )

    def commit_all(
        self, commits: Mapping[str, Commit], releases: Mapping[str, Release]
    ) -> tuple[dict[str, CommitResult], dict[str, list[list[str]]]]:
        """Commit for several integrations and then release, in one round trip.

        Each commit stores its deliveries and its cursor in one step, or changes nothing. Return the results of the
        commits, without damaged integrations, and what `release_all` returns.
        """
        committed, released = self._calls.run_in_order(
            [
                ("commit", {i: (keys_with_cursor(i), terms.script_args()) for i, terms in commits.items()}),
                ("release", _release_calls(releases)),
            ]
        )
        results = {
            i: _commit_result(result) for i, result in committed.items() if not isinstance(result, LedgerDamaged)
        }
        return results, self._tasks(released)

    # -- from waiting to Celery

    def non_empty(self, integration_ids: Collection[str]) -> set[str]:
        """Return the integrations with a waiting or released delivery, in one round trip."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                keys = keys_of(integration_id)
                pipe.exists(keys.waiting, keys.released)
            found = pipe.execute()
        return {i for i, number in zip(integration_ids, found, strict=True) if number}

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
        """Run `release_all` for one integration. Returns nothing if the integration is damaged."""
        terms = Release(
            max_in_flight=max_in_flight,
            batch_max=batch_max,
            lease_s=lease_s,
            linger_s=linger_s,
            limits=limits,
            ids_per_task=ids_per_task,
            min_ids=min_ids,
        )
        return self.release_all({integration_id: terms}).get(integration_id, [])

    def release_all(self, wanted: Mapping[str, Release]) -> dict[str, list[list[str]]]:
        """Move deliveries that may be sent now to released. Return the ids of each task to publish, by integration."""
        return self._tasks(self._calls.run_all("release", _release_calls(wanted)))

    def _tasks(self, released: Mapping[str, Any]) -> dict[str, list[list[str]]]:
        """Return the ids of each task from the results of `release`."""
        tasks: dict[str, list[list[str]]] = {}
        for integration_id, result in released.items():
            if isinstance(result, LedgerDamaged):
                continue
            per_task, *ids = result
            if names := self._usable_ids(integration_id, ids):
                tasks[integration_id] = [names[at : at + per_task] for at in range(0, len(names), per_task)]
        return tasks

    def overdue(self, integration_ids: Collection[str]) -> dict[str, list[str]]:
        """Return released deliveries that no worker began before their lease expired, up to REAP_LIMIT each.

        It takes two round trips for all integrations. Integrations without such deliveries are left out.
        """
        now_ms = self.now_ms()
        expired = self._calls.ask_all({i: partial(_expired, keys_of(i).released, now_ms) for i in integration_ids})
        expired = {i: ids for i, ids in expired.items() if ids}
        begun = self._calls.ask_all({i: partial(_hmget, keys_of(i).leases, ids) for i, ids in expired.items()})
        free = {
            i: [id_text(one) for one, token in zip(expired[i], tokens, strict=True) if token is None]
            for i, tokens in begun.items()
        }
        return {i: ids for i, ids in free.items() if ids}

    def leases(self, integration_id: str) -> dict[str, str]:
        """Return the lease token of each begun delivery, by delivery id."""
        (held,) = self._calls.ask(integration_id, lambda pipe: pipe.hgetall(keys_of(integration_id).leases))
        return {id_text(i): id_text(token) for i, token in held.items()}

    def expire(self, integration_id: str, held: Mapping[str, str]) -> None:
        """Expire leases (token by delivery id) now because their worker is gone. The next reap handles them."""
        self.renew(integration_id, held, lease_s=0)

    def reap(
        self,
        integration_id: str,
        *,
        queued: Collection[str],
        lease_s: float,
        notifications: Notifications = NO_NOTIFICATIONS,
    ) -> Reaped:
        """Run `reap_all` for one integration."""
        keys, arguments = _reap_call(integration_id, Reap(queued=queued, lease_s=lease_s, notifications=notifications))
        return Reaped(*self._calls.run("reap", integration_id, *arguments, keys=keys))

    def reap_all(self, wanted: Mapping[str, Reap]) -> dict[str, Reaped]:
        """Return deliveries with an expired lease to waiting, except those whose task is still in the queue."""
        calls = {i: _reap_call(i, terms) for i, terms in wanted.items()}
        return {i: Reaped(*result) for i, result in self._calls.run_all("reap", calls).items()}

    # -- for workers

    def begin(
        self, integration_id: str, ids: Sequence[str], *, token: str, lease_s: float, limits: Limits = UNLIMITED
    ) -> list[Delivery]:
        """Take the lease of every id that is released and that no worker has begun. Return those deliveries.

        If the integration is blocked, the deliveries return to waiting instead. A delivery whose record cannot be read
        becomes a dead letter and is left out.
        """
        keys = _limit_keys(integration_id, limits)
        now_ms, last_success_ms, *records = self._calls.run(
            "begin", integration_id, token, _ms(lease_s), *ids, keys=keys
        )
        begun: list[Delivery] = []
        unreadable: list[str] = []
        for delivery_id, record in zip(ids, records, strict=True):
            if record:
                try:
                    begun.append(decode_record(delivery_id, record, now_ms, last_success_ms))
                except UnreadableRecord:
                    unreadable.append(delivery_id)
        if unreadable:
            self._bury_unreadable(integration_id, unreadable)
        return begun

    def renew(self, integration_id: str, held: Mapping[str, str], *, lease_s: float) -> None:
        """Extend the leases (token by delivery id) of a worker, in one round trip."""
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
        release: Release | None = None,
    ) -> Settled:
        """Record the outcomes of begun deliveries, the events that they caused and the health of the target.

        `last_error_mac` signs `last_error`, so that a notification of the manager can include it. With `release`, the
        next deliveries are released in the same round trip, and `Settled.tasks` holds the ids of each task to publish.
        """
        arguments: list[str | bytes | float] = [token, last_error, *limits.settle_args(), *notifications.settle_arg()]
        arguments.append(last_error_mac)
        for s in settlements:
            header = encode_header(s.header) if s.header else b""
            arguments += (s.id, s.outcome, s.reason, s.delay_ms, header, health_signal(s), s.pause_ms, len(s.events))
            for event in s.events:
                arguments += (event.id, event.payload)
        keys = [*_limit_keys(integration_id, limits), *_notification_keys(notifications)]
        releases = {integration_id: release} if release else {}
        result, released = self._calls.run_in_order(
            [("settle", {integration_id: (keys, arguments)}), ("release", _release_calls(releases))]
        )
        count, breaker, until_ms, paused_until_ms, blocked = undamaged(result[integration_id])
        return Settled(
            count=count,
            breaker=BreakerState(breaker.decode()) if breaker else None,
            until_ms=until_ms,
            paused_until_ms=paused_until_ms,
            is_blocked=bool(blocked),
            tasks=self._tasks(released).get(integration_id, []),
        )

    # -- for operators

    def dead_letters(self, integration_id: str, *, chunk: int = 500) -> Iterator[DeadLetter]:
        """Yield the dead letters, the oldest first, reading `chunk` at a time."""
        return read_dead_letters(self._calls, integration_id, chunk)

    def replay(self, integration_id: str, ids: Sequence[str], *, interval_s: float = 0.0, after_s: float = 0.0) -> int:
        """Move dead letters to waiting: the first is due after `after_s`, then one every `interval_s`. Return how many.

        A dead letter that cannot be read is left unchanged.
        """
        return int(self._calls.run("replay", integration_id, _ms(after_s), _ms(interval_s), *map(id_bytes, ids)))

    def move(self, integration_id: str, ids: Sequence[str], *, to: str) -> int:
        """Move dead letters to another integration. Return how many; an id that is already there stays dead here."""
        return int(
            self._calls.run(
                "move", integration_id, *map(id_bytes, ids), keys=[*keys_of(integration_id), *_intake_keys(to)]
            )
        )

    def bury(self, integration_id: str, *, reason: str, limit: int = 1000) -> int:
        """Move up to `limit` waiting deliveries to the dead letters, where they can be read, moved or discarded."""
        return int(self._calls.run("bury", integration_id, reason, limit))

    def discard(self, integration_id: str, ids: Sequence[str]) -> int:
        """Delete dead letters and count them. Return how many."""
        return int(self._calls.run("discard", integration_id, *map(id_bytes, ids)))

    def import_dead(self, integration_id: str, letters: Sequence[DeadLetter]) -> int:
        """Add dead letters from another ledger. Return how many; an id that is here in any state is left unchanged."""
        arguments: list[str | bytes | int] = []
        for one in letters:
            arguments += (one.delivery.id, one.died_ms, encode_record(one.delivery))
        return int(self._calls.run("import", integration_id, *arguments))

    def retain(
        self, integration_id: str, *, max_age_s: float | None, max_bytes: int | None, limit: int = RETAIN_LIMIT
    ) -> int:
        """Delete up to `limit` of the oldest dead letters beyond an age or a total size. Return how many."""
        longest_ms = "" if max_age_s is None else _ms(max_age_s)
        return int(self._calls.run("retain", integration_id, longest_ms, "" if max_bytes is None else max_bytes, limit))

    def status(self, integration_id: str) -> Status:
        """Return counts, totals, what blocks the integration, and the age of the oldest of the next 100 deliveries."""
        return self.statuses([integration_id])[integration_id]

    def statuses(self, integration_ids: Collection[str]) -> dict[str, Status]:
        """Return the status of each integration, in three round trips. The sample of many integrations is smaller."""
        with as_ledger_errors():
            return read_statuses(self._redis, integration_ids, self.now_ms())

    def pause(self, integration_id: str, reason: str = "") -> bool:
        """Pause an integration until it is resumed, or change the reason. Return whether it was not paused before."""
        control, now_ms = keys_of(integration_id).control, self.now_ms()
        (is_new,) = self._calls.ask(integration_id, lambda pipe: pipe.hsetnx(control, "paused_ms", str(now_ms)))
        if is_new or reason:
            self._calls.ask(integration_id, lambda pipe: pipe.hset(control, "pause_reason", reason))
        return bool(is_new)

    def resume(self, integration_id: str) -> bool:
        """Resume an integration. Return whether it was paused."""
        control = keys_of(integration_id).control
        (deleted,) = self._calls.ask(integration_id, lambda pipe: pipe.hdel(control, "paused_ms", "pause_reason"))
        return bool(deleted)

    # -- Redis itself

    def check_server(self) -> list[str]:
        """Raise LedgerMisconfigured if Redis may evict keys. Return warnings about settings that risk data."""
        return server_check.check(self._redis)

    def disk_error(self) -> str:
        """Return why Redis refuses all writes, '' if it does not."""
        return server_check.disk_error(self._redis)

    def intake_block_reason(self) -> str:
        """Return why intake must pause, '' if it need not. Cheap enough to call every second."""
        return server_check.intake_block_reason(self._redis)

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        return self._calls.now_ms()

    def _usable_ids(self, integration_id: str, ids: Sequence[bytes]) -> list[str]:
        """Return the ids that a queue message can carry. The others become dead letters."""
        names = [id_text(i) for i in ids]
        if unusable := [name for name in names if not is_usable_id(name)]:
            self._bury_unreadable(integration_id, unusable)
            names = [name for name in names if is_usable_id(name)]
        return names

    def _bury_unreadable(self, integration_id: str, ids: Sequence[str]) -> None:
        """Move released deliveries that no worker can read to the dead letters."""
        number = self._calls.run("bury_unreadable", integration_id, *map(id_bytes, ids))
        _log.error(
            "unreadable deliveries moved to dead letters: another program writes to Redis; see `courier dead list`",
            extra={"integration": integration_id, "deliveries": number},
        )


def _limit_keys(integration_id: str, limits: Limits) -> list[str]:
    return [*keys_of(integration_id), *limit_keys(limits.target or integration_id)]


def _hget(key: str, field: str, pipe: Pipeline) -> None:
    pipe.hget(key, field)


def _hmget(key: str, fields: Sequence[bytes], pipe: Pipeline) -> None:
    pipe.hmget(key, fields)


def _expired(released: str, now_ms: int, pipe: Pipeline) -> None:
    pipe.zrange(released, "-inf", now_ms, byscore=True, offset=0, num=REAP_LIMIT)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
