"""Reads the state of all integrations for a metrics scrape: three round trips, no writes, no secret key.

`Ledger.status` reads more of one integration, for a person. This runs every few seconds for a hundred integrations.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.connection.errors import as_ledger_errors
from common.integration import MANAGER_ID
from common.ledger.damage import ask, damaged, unless_damaged
from common.ledger.enums import BreakerState
from common.ledger.keys import FAILED_OFFSET_MS, KEY_NAMES, keys_of, limit_keys
from common.ledger.record import read_totals, to_int
from common.ledger.status import committed_ms
from common.registry.entries import KEY, VERSION

if TYPE_CHECKING:
    from redis import Redis

SAMPLE_SIZE: Final = 3
"""Records read to find the oldest, of those due first and those released first. Each contains a whole alert."""

_EMPTY: Final[tuple[Any, ...]] = (0, 0, 0, [], [], [], {}, {})
"""The results of the second round trip for an integration without keys."""

Texts = dict[str, str]


class BlockedBy(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps an integration from sending, apart from its limits."""

    breaker_open: bool = False
    paused: bool = False
    target_pause_s: float = 0.0


class IntegrationSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One integration. `overdue_s` is the time since the first due delivery could have been sent, 0 if none is due.

    `damaged` is the number of its keys that have the wrong type.
    """

    waiting: int
    released: int
    dead: int
    oldest_s: float
    overdue_s: float
    totals: dict[str, int]
    blocked_by: BlockedBy
    damaged: int = 0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whether deliveries are safe in this Redis. `memory_max_bytes` is 0 if unknown."""

    memory_bytes: int
    memory_max_bytes: int
    durable: bool
    evicts: bool


class Snapshot(msgspec.Struct, frozen=True):
    """The integrations by id, and the server."""

    integrations: dict[str, IntegrationSnapshot]
    server: Server


def take_snapshot(client: Redis) -> Snapshot:
    """Read the state of all integrations. Raises LedgerUnavailable or LedgerMisconfigured."""
    with as_ledger_errors():
        ids, now_ms, server = _read_server(client)
        counted = _read_counts(client, ids, now_ms)
        found = _read_records(client, counted)
    return Snapshot(
        {
            one: _integration_snapshot(raw, more, now_ms)
            for (one, raw), more in zip(counted.items(), found, strict=True)
        },
        server,
    )


class _Counts(msgspec.Struct, frozen=True):
    counts: list[int]
    due_ms: float | None
    oldest: list[bytes]
    totals: Texts
    control: Texts
    damaged: int


def _read_server(client: Redis) -> tuple[list[str], int, Server]:
    with client.pipeline(transaction=False) as pipe:
        pipe.hkeys(KEY)
        pipe.time()
        pipe.info("memory")
        pipe.info("persistence")
        names, (seconds, micros), memory, persistence = pipe.execute()
    ids = sorted({name.decode() for name in names if name != VERSION} | {MANAGER_ID})
    return ids, seconds * 1000 + micros // 1000, _server(memory, persistence)


def _read_counts(client: Redis, ids: list[str], now_ms: int) -> dict[str, _Counts]:
    with client.pipeline(transaction=False) as pipe:
        for one in ids:
            keys = keys_of(one)
            ask(pipe, keys)
            for key in (keys.waiting, keys.released, keys.dead):
                pipe.zcard(key)
            for base in (0, FAILED_OFFSET_MS):
                pipe.zrange(keys.waiting, base, "+inf", byscore=True, offset=0, num=SAMPLE_SIZE, withscores=True)
            pipe.zrange(keys.released, 0, SAMPLE_SIZE - 1)
            pipe.hgetall(keys.totals)
            pipe.hgetall(keys.control)
        results = iter(pipe.execute(raise_on_error=False))
    return {one: _counts(one, list(islice(results, len(KEY_NAMES) + len(_EMPTY))), now_ms) for one in ids}


def _counts(integration_id: str, results: list[Any], now_ms: int) -> _Counts:
    wrong = len(damaged(keys_of(integration_id), results[: len(KEY_NAMES)]))
    found = [unless_damaged(result, empty) for result, empty in zip(results[len(KEY_NAMES) :], _EMPTY, strict=True)]
    waiting, released, dead, first, failed, begun, totals, control = found
    due_ms = min(
        [due_ms for _, at_ms in (*first, *failed) if (due_ms := at_ms % FAILED_OFFSET_MS) <= now_ms], default=None
    )
    sample = dict.fromkeys([*(i for i, _ in (*first, *failed)), *begun])
    return _Counts([waiting, released, dead], due_ms, list(sample), _texts(totals), _texts(control), wrong)


def _read_records(client: Redis, counted: dict[str, _Counts]) -> list[tuple[list[Any], Texts]]:
    with client.pipeline(transaction=False) as pipe:
        for one, raw in counted.items():
            shared, *_ = limit_keys(raw.control.get("target") or one)
            pipe.hmget(keys_of(one).records, raw.oldest or ["none"])
            pipe.hmget(shared, ["pause_until_ms"])
        results = [unless_damaged(result, [None]) for result in pipe.execute(raise_on_error=False)]
    pairs = zip(results[::2], results[1::2], strict=True)
    return [(records, {"pause_until_ms": (until or b"").decode("utf-8", "replace")}) for records, (until,) in pairs]


def _integration_snapshot(raw: _Counts, more: tuple[list[Any], Texts], now_ms: int) -> IntegrationSnapshot:
    records, shared = more
    waiting, released, dead = raw.counts
    committed = committed_ms(records)
    return IntegrationSnapshot(
        waiting=waiting,
        released=released,
        dead=dead,
        oldest_s=max(0.0, (now_ms - min(committed)) / 1000) if committed else 0.0,
        overdue_s=0.0 if raw.due_ms is None else (now_ms - raw.due_ms) / 1000,
        totals=read_totals(raw.totals),
        blocked_by=_blocked_by(raw.control, shared, now_ms),
        damaged=raw.damaged,
    )


def _blocked_by(control: Texts, shared: Texts, now_ms: int) -> BlockedBy:
    """Return what blocks an integration. A malformed field counts as absent."""
    until_ms = to_int(shared.get("pause_until_ms"))
    return BlockedBy(
        breaker_open=control.get("breaker", BreakerState.CLOSED) != BreakerState.CLOSED,
        paused="paused_ms" in control,
        target_pause_s=max(0.0, (until_ms - now_ms) / 1000),
    )


def _server(memory: Any, persistence: Any) -> Server:
    return Server(
        memory_bytes=int(memory.get("used_memory", 0)),
        memory_max_bytes=int(memory.get("maxmemory", 0)) or int(memory.get("total_system_memory", 0)),
        durable=bool(persistence.get("aof_enabled")) and persistence.get("aof_last_write_status", "ok") == "ok",
        evicts=memory.get("maxmemory_policy", "noeviction") != "noeviction",
    )


def _texts(found: dict[bytes, bytes]) -> Texts:
    return {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in found.items()}
