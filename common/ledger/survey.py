"""Everything that a scrape wants to know, of all integrations: three round trips, nothing changed, no key needed.

`Ledger.status` answers for one integration and a person; this answers every few seconds for a hundred of them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.integration import MANAGER_ID
from common.ledger.damage import ask, damaged, unless_damaged
from common.ledger.errors import translated
from common.ledger.keys import FAILED, PARTS, keys_of, limit_keys
from common.ledger.record import to_int
from common.ledger.status import committed_ms
from common.registry import KEY, VERSION

if TYPE_CHECKING:
    from redis import Redis

SAMPLE: Final = 3
"""Records looked at, of those due first and those released first, to find the oldest: each holds a whole alert."""

_EMPTY: Final[tuple[Any, ...]] = (0, 0, 0, [], [], [], {}, {})
"""What the second round trip answers of an integration without a key."""

Texts = dict[str, str]


class Holds(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps an integration from sending, besides its turn."""

    breaker_open: bool = False
    paused: bool = False
    target_pause_s: float = 0.0


class Surveyed(msgspec.Struct, frozen=True, kw_only=True):
    """One integration. `overdue_s` counts from when the delivery that is due first could have gone; 0 where none is.

    `damaged` is how many of its keys have the wrong type.
    """

    waiting: int
    released: int
    dead: int
    oldest_s: float
    overdue_s: float
    totals: dict[str, int]
    holds: Holds
    damaged: int = 0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What of Redis itself decides whether deliveries are safe in it. `memory_max_bytes` is 0 if nobody knows."""

    memory_bytes: int
    memory_max_bytes: int
    durable: bool
    evicts: bool


class Survey(msgspec.Struct, frozen=True):
    """What was found, by integration."""

    integrations: dict[str, Surveyed]
    server: Server


def survey(client: Redis) -> Survey:
    """Look at everything. Raises LedgerUnavailable or LedgerUnfit."""
    with translated():
        ids, now_ms, server = _first(client)
        counted = _second(client, ids, now_ms)
        found = _third(client, counted)
    return Survey(
        {one: _surveyed(raw, more, now_ms) for (one, raw), more in zip(counted.items(), found, strict=True)}, server
    )


class _Raw(msgspec.Struct, frozen=True):
    counts: list[int]
    due_ms: float | None
    oldest: list[bytes]
    totals: Texts
    control: Texts
    damaged: int


def _first(client: Redis) -> tuple[list[str], int, Server]:
    with client.pipeline(transaction=False) as pipe:
        pipe.hkeys(KEY)
        pipe.time()
        pipe.info("memory")
        pipe.info("persistence")
        names, (seconds, micros), memory, persistence = pipe.execute()
    ids = sorted({name.decode() for name in names if name != VERSION} | {MANAGER_ID})
    return ids, seconds * 1000 + micros // 1000, _server(memory, persistence)


def _second(client: Redis, ids: list[str], now_ms: int) -> dict[str, _Raw]:
    with client.pipeline(transaction=False) as pipe:
        for one in ids:
            _, waiting, released, dead, control, totals, *_ = keys = keys_of(one)
            ask(pipe, keys)
            for key in (waiting, released, dead):
                pipe.zcard(key)
            for base in (0, FAILED):
                pipe.zrange(waiting, base, "+inf", byscore=True, offset=0, num=SAMPLE, withscores=True)
            pipe.zrange(released, 0, SAMPLE - 1)
            pipe.hgetall(totals)
            pipe.hgetall(control)
        answers = iter(pipe.execute(raise_on_error=False))
    return {one: _raw(one, list(islice(answers, len(PARTS) + len(_EMPTY))), now_ms) for one in ids}


def _raw(integration_id: str, answers: list[Any], now_ms: int) -> _Raw:
    wrong = len(damaged(keys_of(integration_id), answers[: len(PARTS)]))
    found = [unless_damaged(answer, empty) for answer, empty in zip(answers[len(PARTS) :], _EMPTY, strict=True)]
    waiting, released, dead, first, failed, begun, totals, control = found
    due_ms = min([due_ms for _, at_ms in (*first, *failed) if (due_ms := at_ms % FAILED) <= now_ms], default=None)
    sample = dict.fromkeys([*(i for i, _ in (*first, *failed)), *begun])
    return _Raw([waiting, released, dead], due_ms, list(sample), _texts(totals), _texts(control), wrong)


def _third(client: Redis, counted: dict[str, _Raw]) -> list[tuple[list[Any], Texts]]:
    with client.pipeline(transaction=False) as pipe:
        for one, raw in counted.items():
            records, *_ = keys_of(one)
            shared, *_ = limit_keys(raw.control.get("target") or one)
            pipe.hmget(records, raw.oldest or ["none"])
            pipe.hmget(shared, ["pause_until_ms"])
        answers = [unless_damaged(answer, [None]) for answer in pipe.execute(raise_on_error=False)]
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [(records, {"pause_until_ms": (until or b"").decode("utf-8", "replace")}) for records, (until,) in pairs]


def _surveyed(raw: _Raw, more: tuple[list[Any], Texts], now_ms: int) -> Surveyed:
    records, shared = more
    waiting, released, dead = raw.counts
    committed = committed_ms(records)
    return Surveyed(
        waiting=waiting,
        released=released,
        dead=dead,
        oldest_s=max(0.0, (now_ms - min(committed)) / 1000) if committed else 0.0,
        overdue_s=0.0 if raw.due_ms is None else (now_ms - raw.due_ms) / 1000,
        totals={name: to_int(value) for name, value in raw.totals.items()},
        holds=_holds(raw.control, shared, now_ms),
        damaged=raw.damaged,
    )


def _holds(control: Texts, shared: Texts, now_ms: int) -> Holds:
    """Read what holds it back; what no script writes counts as not held."""
    until_ms = to_int(shared.get("pause_until_ms"))
    return Holds(
        breaker_open=control.get("breaker", "closed") != "closed",
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
