"""Reads the status of one integration: two round trips, no writes, no secret key."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from common.errors import SettingsError, UnreadableRecord
from common.ledger.damage import ask, damaged, unless_damaged
from common.ledger.enums import BreakerState
from common.ledger.keys import FAILED_OFFSET_MS, cursor_key, keys_of, limit_keys
from common.ledger.record import decode_record, read_totals, to_int
from common.ledger.types import Status
from common.settings.rate_limit import Unit, parse_rate_limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis import Redis

    from common.settings.rate_limit import RateLimit

WINDOW_MS: Final = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}
DAY_MS: Final = 86_400_000

SAMPLE_SIZE: Final = 100
"""Records read to find the oldest waiting delivery: of those due first, and of those due first that have failed."""

Texts = dict[str, str]


def read_status(client: Redis, integration_id: str, now_ms: int) -> Status:
    """Return the status at the ledger's time `now_ms`. Raises the errors of the Redis client."""
    keys, cursor = keys_of(integration_id), cursor_key(integration_id)
    with client.pipeline(transaction=False) as pipe:
        ask(pipe, [*keys, cursor])
        for key in (keys.waiting, keys.released, keys.dead):
            pipe.zcard(key)
        for base in (0, FAILED_OFFSET_MS):
            pipe.zrange(keys.waiting, base, "+inf", byscore=True, offset=0, num=SAMPLE_SIZE)
        pipe.zcount(keys.waiting, FAILED_OFFSET_MS, "+inf")
        for key in (keys.totals, cursor, keys.control):
            pipe.hgetall(key)
        types, found = _split_results(
            pipe.execute(raise_on_error=False), len(keys) + 1, (0, 0, 0, [], [], 0, {}, {}, {})
        )
    damaged_keys = damaged([*keys, cursor], types)
    *counts, first, first_failed, failed, total, cursors, control_fields = found
    next_ids = [*dict.fromkeys([*first, *first_failed])]
    state = _texts(control_fields)
    shared_key, *lists = limits_at = limit_keys(state.get("target") or integration_id)
    with client.pipeline(transaction=False) as pipe:
        ask(pipe, limits_at)
        pipe.hgetall(shared_key)
        for key in lists:
            pipe.lrange(key, 0, -1)
        pipe.hmget(keys.records, next_ids or ["none"])
        types, found = _split_results(pipe.execute(raise_on_error=False), len(limits_at), ({}, [], [], []))
    shared, *windows, sample = found
    limits = _limits(state.get("limits", ""), _texts(shared), dict(zip(WINDOW_MS, windows, strict=True)), now_ms)
    breaker, until_ms = state.get("breaker", BreakerState.CLOSED), to_int(state.get("breaker_until_ms"))
    target_until_ms = to_int(_texts(shared).get("pause_until_ms"))
    return Status(
        waiting=counts[0],
        released=counts[1],
        dead=counts[2],
        oldest_age_s=_oldest_age_s(sample, now_ms),
        totals=read_totals(_texts(total)),
        cursors=_texts(cursors),
        last_error=state.get("last_error", ""),
        last_error_ms=to_int(state.get("last_error_ms")),
        paused_ms=to_int(state["paused_ms"]) or now_ms if "paused_ms" in state else 0,
        pause_reason=state.get("pause_reason", ""),
        target_until_ms=target_until_ms if target_until_ms > now_ms else 0,
        breaker=breaker,
        breaker_until_ms=until_ms if breaker == BreakerState.OPEN else 0,
        breaker_reason=state.get("breaker_reason", "") if breaker != BreakerState.CLOSED else "",
        failed=failed,
        limits=limits,
        damaged=(*damaged_keys, *damaged(limits_at, types)),
    )


def _split_results(results: list[Any], number: int, defaults: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Split off the first `number` results, those of `ask`. In the others, replace damaged keys by the defaults."""
    types, others = results[:number], results[number:]
    return types, [unless_damaged(result, default) for result, default in zip(others, defaults, strict=True)]


def _texts(found: dict[bytes, bytes]) -> Texts:
    return {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in found.items()}


def committed_ms(records: Iterable[bytes | None]) -> list[int]:
    """Return the commit time of each delivery, without those whose record is missing or unreadable."""
    times = []
    for record in records:
        with suppress(UnreadableRecord):
            if record is not None:
                times.append(decode_record("", record).header.committed_ms)
    return times


def _oldest_age_s(found: list[bytes | None], now_ms: int) -> float | None:
    times = committed_ms(found)
    return max(0.0, (now_ms - min(times)) / 1000) if times else None


def _limits(texts: str, shared: Texts, windows: dict[Unit, list[bytes]], now_ms: int) -> dict[str, int]:
    """Return the remaining tokens of each limit. A malformed value counts as an unused limit."""
    left: dict[str, int] = {}
    for text in filter(None, texts.split(",")):
        with suppress(SettingsError, ValueError, OverflowError, KeyError):
            limit = parse_rate_limit(text)
            left[str(limit)] = max(0, limit.count_left(_used(limit, shared, windows, now_ms)))
    return left


def _used(limit: RateLimit, shared: Texts, windows: dict[Unit, list[bytes]], now_ms: int) -> float:
    """Return the number of tokens used, counted as in `limits.lua`."""
    if limit.unit is Unit.SECOND:
        left, at_ms = (shared.get(f"s:{limit.count}:{limit.burst}") or f"{limit.burst} 0").split()
        return limit.burst - float(left) - max(0, now_ms - int(at_ms)) * limit.count / 1000
    if limit.unit is Unit.DAY:
        return int(shared["day_used"]) if to_int(shared.get("day")) - now_ms // DAY_MS in {0, 1} else 0
    pairs = [entry.split() for entry in windows[limit.unit]]
    return sum(int(number) for at_ms, number in pairs if int(at_ms) > now_ms - WINDOW_MS[limit.unit])
