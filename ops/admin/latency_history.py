"""How long deliveries took in the last day, step by step, from the history: what the console draws."""

from __future__ import annotations

from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Final

import msgspec

from common.ledger import HistoryEntry, HistoryOutcome
from ops.admin.recent_history import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.ledger import Ledger

MAX_ENTRIES: Final = 2_000
"""Newest entries that are read, of 250 bytes: 500 kB and 30 ms."""

SPAN_MS: Final = 86_400_000
STEPS: Final = 48
MIN_STEP_MS: Final = 60_000


class LatencyStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its start and end in ms since the epoch, and how many deliveries ended in it.

    Latencies are seconds from the commit until the delivery, of those that were delivered; null if none was.
    """

    from_ms: int
    to_ms: int
    delivered: int
    latency_p50_s: float | None
    latency_p99_s: float | None


def last_day(ledger: Ledger, integration_id: str, now_ms: int) -> list[HistoryEntry]:
    """Return the newest entries of the last day, the newest first. Raises LedgerUnavailable or LedgerMisconfigured.

    Malformed entries are left out, and so are those of a future that another program wrote.
    """
    found = ledger.history([integration_id], since_ms=max(0, now_ms - SPAN_MS), newest_first=True)
    readable = (one for one in islice(found, MAX_ENTRIES) if isinstance(one, HistoryEntry))
    return [one for one in readable if one.ended_ms <= now_ms + SPAN_MS]


def latency_steps(entries: Sequence[HistoryEntry], now_ms: int) -> list[LatencyStep]:
    """Return at most STEPS steps of equal length from the oldest entry until now; none without a delivery."""
    ended = [
        (one.ended_ms, one.latency_ms / 1000)
        for one in entries
        if one.outcome == HistoryOutcome.DELIVERED and one.facts.committed_ms
    ]
    if not ended:
        return []
    begin_ms = max(now_ms - SPAN_MS, min(ms for ms, _ in ended))
    step_ms = max(MIN_STEP_MS, ceil((now_ms - begin_ms + 1) / STEPS))
    steps: list[list[float]] = [[] for _ in range(max(0, now_ms - begin_ms) // step_ms + 1)]
    for ms, latency_s in ended:
        steps[min(max(0, ms - begin_ms) // step_ms, len(steps) - 1)].append(latency_s)
    return [_step(begin_ms + number * step_ms, step_ms, sorted(found)) for number, found in enumerate(steps)]


def _step(from_ms: int, step_ms: int, latencies: Sequence[float]) -> LatencyStep:
    return LatencyStep(
        from_ms=from_ms,
        to_ms=from_ms + step_ms,
        delivered=len(latencies),
        latency_p50_s=percentile(latencies, 50),
        latency_p99_s=percentile(latencies, 99),
    )
