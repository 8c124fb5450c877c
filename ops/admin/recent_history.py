"""What the newest entries of an integration's history say, for `courier status` and `courier top`."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, Final

import msgspec

from common.ledger import HistoryEntry, HistoryOutcome
from ops.admin.history import ENDS
from ops.admin.terminal import Column, ColumnKind, age

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from common.ledger import UnreadableEntry

SAMPLE: Final = 100
"""Entries that are read of each integration, of 250 bytes."""

MAX_ENTRIES: Final = 2000
"""The samples of more than 20 integrations are smaller."""

MIN_SAMPLE: Final = 20


COLUMNS: Final = (
    Column("Last success", rank=9, least=9),
    Column("p50", ColumnKind.NUMBER, rank=11),
    Column("p99", ColumnKind.NUMBER, rank=10),
)


class NoisiestRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule with the most deliveries: its id, description and number of entries in the sample."""

    id: str
    description: str
    entries: int


class RecentHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The last deliveries that ended. `entries` is their number: the size of the sample, or fewer.

    `last_success_ms` is when the last one of them was delivered, in ms since the epoch. Latencies are seconds from the
    commit until the delivery, of those that were delivered. Null if there is none.
    """

    entries: int
    last_success_ms: int | None
    latency_p50_s: float | None
    latency_p99_s: float | None
    noisiest_rule: NoisiestRule | None


def cells(history: RecentHistory, now_ms: int) -> tuple[str, ...]:
    """Return the cells of COLUMNS, empty where nothing was delivered."""
    success = "" if history.last_success_ms is None else f"{age((now_ms - history.last_success_ms) / 1000)} ago"
    return success, *("" if one is None else age(one) for one in (history.latency_p50_s, history.latency_p99_s))


def sample_size(integrations: int) -> int:
    """Return how many entries to read of each integration, given their number."""
    return max(MIN_SAMPLE, min(SAMPLE, MAX_ENTRIES // max(1, integrations)))


def summarize(entries: Iterable[HistoryEntry | UnreadableEntry]) -> RecentHistory:
    """Return what these entries of one integration say, the newest first; unreadable ones do not count."""
    ended = [one for one in entries if isinstance(one, HistoryEntry) and one.outcome in ENDS]
    delivered = [one for one in ended if one.outcome == HistoryOutcome.DELIVERED]
    latencies = sorted(one.latency_ms / 1000 for one in delivered if one.facts.committed_ms)
    return RecentHistory(
        entries=len(ended),
        last_success_ms=delivered[0].ended_ms if delivered else None,
        latency_p50_s=percentile(latencies, 50),
        latency_p99_s=percentile(latencies, 99),
        noisiest_rule=_noisiest(ended),
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank percentile of values in ascending order, None if there are none."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else None


def _noisiest(entries: Sequence[HistoryEntry]) -> NoisiestRule | None:
    counts = Counter(one.facts.rule_id for one in entries if one.facts.rule_id)
    for rule_id, count in counts.most_common(1):
        description = next(one.facts.rule_description for one in entries if one.facts.rule_id == rule_id)
        return NoisiestRule(id=rule_id, description=description, entries=count)
    return None
