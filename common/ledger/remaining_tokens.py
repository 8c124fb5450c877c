"""Counts the tokens that are left of rate limits, as `limits.lua` does, but without writing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from common.errors import SettingsError
from common.ledger.record import to_int
from common.settings.rate_limit import Unit, parse_rate_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings.rate_limit import RateLimit

WINDOW_MS: Final = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}
DAY_MS: Final = 86_400_000


def remaining_tokens(
    texts: str, shared: Mapping[str, str], windows: Mapping[Unit, list[bytes]], now_ms: int
) -> dict[str, int]:
    """Return the remaining tokens of each limit in `texts`, which commas separate.

    `shared` are the fields of the key that the integrations of one credential share, `windows` its lists of releases. A
    malformed value counts as an unused limit.
    """
    left: dict[str, int] = {}
    for text in filter(None, texts.split(",")):
        with suppress(SettingsError, ValueError, OverflowError, KeyError):
            limit = parse_rate_limit(text)
            left[str(limit)] = max(0, limit.count_left(_used(limit, shared, windows, now_ms)))
    return left


def _used(limit: RateLimit, shared: Mapping[str, str], windows: Mapping[Unit, list[bytes]], now_ms: int) -> float:
    """Return the number of tokens used."""
    if limit.unit is Unit.SECOND:
        left, at_ms = (shared.get(f"s:{limit.count}:{limit.burst}") or f"{limit.burst} 0").split()
        return limit.burst - float(left) - max(0, now_ms - int(at_ms)) * limit.count / 1000
    if limit.unit is Unit.DAY:
        return int(shared["day_used"]) if to_int(shared.get("day")) - now_ms // DAY_MS in {0, 1} else 0
    pairs = [entry.split() for entry in windows[limit.unit]]
    return sum(int(number) for at_ms, number in pairs if int(at_ms) > now_ms - WINDOW_MS[limit.unit])
