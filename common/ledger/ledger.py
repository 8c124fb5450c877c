"""The one Python module that knows the ledger's keys and scripts. The essay stands in this package's `__init__`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.errors import LedgerUnfit
from common.integration import MANAGER_ID
from common.ledger import scripts
from common.ledger.errors import translated
from common.ledger.record import Delivery, Header, decode_record, encode_header

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from redis import Redis

MOST_LOST: Final = 10
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


Commit = Stored | Stale | Full


class Event(msgspec.Struct, frozen=True):
    """A delivery for the built-in integration `manager`: its deterministic id and what to inject."""

    id: str
    payload: bytes


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How one begun delivery ended: delivered, skipped, retry or dead; the last two need the new `header`.

    `delay_ms` is how long a retry waits, by the ledger's clock.
    """

    id: str
    outcome: str
    reason: str = ""
    delay_ms: int = 0
    header: Header | None = None
    events: tuple[Event, ...] = ()


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
    """What `courier status` shows of one integration. Ages are in seconds; None where nothing waits."""

    waiting: int
    released: int
    dead: int
    oldest_age_s: float | None
    totals: dict[str, int]
    cursors: dict[str, str]
    last_error: str
    last_error_ms: int


def _keys(integration_id: str) -> list[str]:
    parts = ("records", "waiting", "released", "dead", "cursor", "control", "totals", "leases")
    return [f"courier:{{{integration_id}}}:{part}" for part in parts]


def _entrance(integration_id: str) -> list[str]:
    """Return the keys that a new delivery of an integration touches: records, waiting and totals."""
    records, waiting, _, _, _, _, totals, _ = _keys(integration_id)
    return [records, waiting, totals]


class Ledger:
    """Every move of a delivery. All methods raise LedgerUnavailable or LedgerUnfit and nothing else of Redis.

    `clock` returns seconds since the epoch; without one Redis's own clock is used, the one all machines share.
    """

    def __init__(self, client: Redis, *, clock: Callable[[], float] | None = None) -> None:
        self._redis = client
        self._clock = clock
        self._scripts = scripts.load(client)

    # -- the producer's side

    def cursor(self, integration_id: str, node: str) -> str:
        """Return the position that is committed for this node, '' if there is none yet."""
        with translated():
            held: bytes | None = self._redis.hget(_keys(integration_id)[4], node)  # type: ignore[assignment]
        return (held or b"").decode()

    def cursors(self, integration_ids: Sequence[str], node: str) -> dict[str, str]:
        """Return the committed positions of several integrations at once, '' where there is none yet."""
        with translated(), self._redis.pipeline(transaction=False) as pipe:
            for integration_id in integration_ids:
                pipe.hget(_keys(integration_id)[4], node)
            found = pipe.execute()
        return {i: (held or b"").decode() for i, held in zip(integration_ids, found, strict=True)}

    def forget_cursor(self, integration_id: str, node: str) -> None:
        """Forget the position of an integration that this node does not have any more."""
        with translated():
            self._redis.hdel(_keys(integration_id)[4], node)

    def room(self, integration_id: str, *, max_backlog: int, max_backlog_bytes: int) -> float:
        """Return the free part of the backlog, from 0 to 1, by count or bytes, whichever is less."""
        keys = _keys(integration_id)
        with translated(), self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(keys[1])
            pipe.zcard(keys[2])
            pipe.hget(keys[6], "bytes")
            waiting, released, held = pipe.execute()
        used: float = max((waiting + released) / max_backlog, int(held or 0) / max_backlog_bytes)
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
    ) -> Commit:
        """Store (id, alert) pairs and the new cursor in one step, if the cursor still is `expected`.

        `replayed` marks them as read from the log a second time, on purpose.
        """
        arguments: list[str | bytes | int] = [node, expected, cursor, max_backlog, max_backlog_bytes, int(replayed)]
        for delivery in deliveries:
            arguments += delivery
        word, value = self._run("commit", integration_id, *arguments)
        if word == b"ok":
            return Stored(value)
        return Stale(value.decode()) if word == b"stale" else Full(value)

    # -- from waiting to Celery

    def release(
        self, integration_id: str, *, max_in_flight: int, batch_max: int, lease_s: float, linger_s: float
    ) -> list[list[str]]:
        """Move what may go now to released. Return the ids of each task that must now be published."""
        per_task, *ids = self._run("release", integration_id, max_in_flight, batch_max, _ms(lease_s), _ms(linger_s))
        names = [i.decode() for i in ids]
        return [names[start : start + per_task] for start in range(0, len(names), per_task or 1)]

    def overdue(self, integration_id: str) -> list[str]:
        """Return released deliveries that nobody began before their lease expired, as many as one reap handles."""
        keys = _keys(integration_id)
        with translated():
            ids: Any = self._redis.zrange(keys[2], "-inf", self.now_ms(), byscore=True, offset=0, num=REAP_LIMIT)
            begun: Any = self._redis.hmget(keys[7], ids) if ids else []
        return [i.decode() for i, token in zip(ids, begun, strict=True) if token is None]

    def leases(self, integration_id: str) -> dict[str, str]:
        """Return the token under which each begun delivery is held, by delivery id."""
        with translated():
            held: Any = self._redis.hgetall(_keys(integration_id)[7])
        return {i.decode(): token.decode() for i, token in held.items()}

    def expire(self, integration_id: str, ids: Sequence[str], *, token: str) -> None:
        """Let leases end now, since their holder is known to be gone; the next reap brings them back."""
        self.renew(integration_id, ids, token=token, lease_s=0)

    def reap(self, integration_id: str, *, queued: Collection[str], lease_s: float) -> Reaped:
        """Bring back deliveries whose lease has expired, but not those that are merely still `queued`."""
        answer = self._run("reap", integration_id, _ms(lease_s), MOST_LOST, REAP_LIMIT, *queued)
        return Reaped(*answer)

    # -- the worker's side

    def begin(self, integration_id: str, ids: Sequence[str], *, token: str, lease_s: float) -> list[Delivery]:
        """Take the lease of every id that is still released and free; return those deliveries."""
        now_ms, *records = self._run("begin", integration_id, token, _ms(lease_s), *ids)
        return [decode_record(i, record, now_ms) for i, record in zip(ids, records, strict=True) if record]

    def renew(self, integration_id: str, ids: Sequence[str], *, token: str, lease_s: float) -> None:
        """Extend the lease of what this worker still holds."""
        self._run("renew", integration_id, token, _ms(lease_s), *ids)

    def settle(
        self, integration_id: str, settlements: Sequence[Settlement], *, token: str, last_error: str = ""
    ) -> int:
        """Record how begun deliveries ended, with the events they caused. Return how many were not too late."""
        arguments: list[str | bytes | int] = [token, last_error]
        for s in settlements:
            header = encode_header(s.header) if s.header else b""
            arguments += (s.id, s.outcome, s.reason, s.delay_ms, header, len(s.events))
            for event in s.events:
                arguments += (event.id, event.payload)
        keys = [*_keys(integration_id), *_entrance(MANAGER_ID)]
        return int(self._run("settle", integration_id, *arguments, keys=keys))

    # -- the operator's side

    def dead_letters(self, integration_id: str, *, chunk: int = 500) -> Iterator[DeadLetter]:
        """Yield the dead letters, the oldest first, reading `chunk` at a time."""
        keys, start = _keys(integration_id), 0
        while True:
            with translated():
                page: Any = self._redis.zrange(keys[3], start, start + chunk - 1, withscores=True)
                found: Any = self._redis.hmget(keys[0], [i for i, _ in page]) if page else []
            for (delivery_id, died_ms), record in zip(page, found, strict=True):
                if record is not None:
                    yield DeadLetter(decode_record(delivery_id.decode(), record), int(died_ms))
            if len(page) < chunk:
                return
            start += chunk

    def replay(self, integration_id: str, ids: Sequence[str], *, interval_s: float = 0.0, after_s: float = 0.0) -> int:
        """Let dead letters wait again, the first after `after_s`, then one every `interval_s`. Return how many."""
        return int(self._run("replay", integration_id, _ms(after_s), _ms(interval_s), *ids))

    def move(self, integration_id: str, ids: Sequence[str], *, to: str) -> int:
        """Let dead letters wait in another integration. Return how many; one that is there already stays dead here."""
        return int(self._run("move", integration_id, *ids, keys=[*_keys(integration_id), *_entrance(to)]))

    def bury(self, integration_id: str, *, reason: str, limit: int = 1000) -> int:
        """Make dead letters of what waits, up to `limit` of it, so that it can be read, moved or discarded."""
        return int(self._run("bury", integration_id, reason, limit))

    def discard(self, integration_id: str, ids: Sequence[str]) -> int:
        """Forget dead letters for good, counted. Return how many were dead."""
        return int(self._run("discard", integration_id, *ids))

    def status(self, integration_id: str) -> Status:
        """Return counts, counters and the age of the oldest among the next hundred that are due."""
        keys = _keys(integration_id)
        with translated(), self._redis.pipeline(transaction=False) as pipe:
            for key in keys[1:4]:
                pipe.zcard(key)
            pipe.zrange(keys[1], 0, 99)
            for key in (keys[6], keys[4], keys[5]):
                pipe.hgetall(key)
            waiting, released, dead, next_ids, totals, cursors, control = pipe.execute()
        return Status(
            waiting=waiting,
            released=released,
            dead=dead,
            oldest_age_s=self._oldest_age_s(keys[0], next_ids),
            totals={k.decode(): int(v) for k, v in totals.items()},
            cursors={k.decode(): v.decode() for k, v in cursors.items()},
            last_error=control.get(b"last_error", b"").decode(),
            last_error_ms=int(float(control.get(b"last_error_ms", 0))),
        )

    def _oldest_age_s(self, records: str, ids: list[bytes]) -> float | None:
        if not ids:
            return None
        with translated():
            found: Any = self._redis.hmget(records, ids)
        times = [decode_record("", r).header.committed_ms for r in found if r is not None]
        return max(0.0, (self.now_ms() - min(times)) / 1000) if times else None

    # -- Redis itself

    def check_server(self) -> list[str]:
        """Raise LedgerUnfit if Redis may evict keys; return warnings about what is merely unwise."""
        with translated():
            memory: Any = self._redis.info("memory")
            persistence: Any = self._redis.info("persistence")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise LedgerUnfit(
                f"Redis has maxmemory-policy {policy} and would throw deliveries away; "
                "set it to noeviction (redis.conf, or CONFIG SET maxmemory-policy noeviction) and start again"
            )
        if not persistence.get("aof_enabled"):
            return ["Redis keeps no append-only file: a restart of it loses deliveries; set appendonly yes"]
        return []

    def now_ms(self) -> int:
        """Return the ledger's time in ms since the epoch."""
        if self._clock is not None:
            return _ms(self._clock())
        with translated():
            seconds, micros = self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _run(
        self, name: str, integration_id: str, *arguments: str | bytes | float, keys: list[str] | None = None
    ) -> Any:
        now = "" if self._clock is None else _ms(self._clock())
        with translated():
            return self._scripts[name](keys=keys or _keys(integration_id), args=[now, *arguments])


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
