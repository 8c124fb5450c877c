"""Reads how an integration is doing: two round trips, nothing changed, and no key needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.ledger.answers import Status
from common.ledger.keys import FAILED, cursor_key, keys_of, limit_keys
from common.ledger.record import decode_record
from common.rate_limit import Unit, parse_rate_limit

if TYPE_CHECKING:
    from redis import Redis

    from common.rate_limit import RateLimit

WINDOW_MS: Final = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}
DAY_MS: Final = 86_400_000

SAMPLE: Final = 100
"""Records looked at to find the oldest that waits: of those due first, and of those due first that have failed."""

Texts = dict[str, str]


def read_status(client: Redis, integration_id: str, now_ms: int) -> Status:
    """Return the status at the ledger's time `now_ms`. Raises what Redis raises."""
    records, waiting, released, dead, control, totals, *_ = keys_of(integration_id)
    with client.pipeline(transaction=False) as pipe:
        for key in (waiting, released, dead):
            pipe.zcard(key)
        for base in (0, FAILED):
            pipe.zrange(waiting, base, "+inf", byscore=True, offset=0, num=SAMPLE)
        pipe.zcount(waiting, FAILED, "+inf")
        for key in (totals, cursor_key(integration_id), control):
            pipe.hgetall(key)
        *counts, first, first_failed, failed, total, cursors, held = pipe.execute()
    next_ids = [*dict.fromkeys([*first, *first_failed])]
    state = _texts(held)
    shared_key, *lists = limit_keys(state.get("target") or integration_id)
    with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(shared_key)
        for key in lists:
            pipe.lrange(key, 0, -1)
        pipe.hmget(records, next_ids or ["none"])
        shared, *went, found = pipe.execute()
    limits = _limits(state.get("limits", ""), _texts(shared), dict(zip(WINDOW_MS, went, strict=True)), now_ms)
    breaker, until_ms = state.get("breaker", "closed"), _whole(state.get("breaker_until_ms"))
    target_until_ms = _whole(_texts(shared).get("pause_until_ms"))
    return Status(
        waiting=counts[0],
        released=counts[1],
        dead=counts[2],
        oldest_age_s=_oldest_age_s(found, now_ms),
        totals={k: int(v) for k, v in _texts(total).items()},
        cursors=_texts(cursors),
        last_error=state.get("last_error", ""),
        last_error_ms=_whole(state.get("last_error_ms")),
        paused_ms=_whole(state.get("paused_ms")),
        pause_reason=state.get("pause_reason", ""),
        target_until_ms=target_until_ms if target_until_ms > now_ms else 0,
        breaker=breaker,
        breaker_until_ms=until_ms if breaker == "open" else 0,
        breaker_reason=state.get("breaker_reason", "") if breaker != "closed" else "",
        failed=failed,
        limits=limits,
    )


def _texts(found: dict[bytes, bytes]) -> Texts:
    return {k.decode(): v.decode() for k, v in found.items()}


def _whole(text: str | None) -> int:
    return int(float(text or 0))


def _oldest_age_s(found: list[bytes | None], now_ms: int) -> float | None:
    times = [decode_record("", record).header.committed_ms for record in found if record is not None]
    return max(0.0, (now_ms - min(times)) / 1000) if times else None


def _limits(texts: str, shared: Texts, went: dict[Unit, list[bytes]], now_ms: int) -> dict[str, int]:
    limits = [parse_rate_limit(text) for text in texts.split(",") if text]
    return {str(limit): max(0, limit.count_left(_used(limit, shared, went, now_ms))) for limit in limits}


def _used(limit: RateLimit, shared: Texts, went: dict[Unit, list[bytes]], now_ms: int) -> float:
    """Return how many tokens are gone, as the scripts count them (limits.lua)."""
    if limit.unit is Unit.SECOND:
        left, at_ms = (shared.get(f"s:{limit.count}:{limit.burst}") or f"{limit.burst} 0").split()
        return limit.burst - float(left) - max(0, now_ms - int(at_ms)) * limit.count / 1000
    if limit.unit is Unit.DAY:
        return int(shared["day_used"]) if _whole(shared.get("day")) - now_ms // DAY_MS in {0, 1} else 0
    pairs = [entry.split() for entry in went[limit.unit]]
    return sum(int(number) for at_ms, number in pairs if int(at_ms) > now_ms - WINDOW_MS[limit.unit])
