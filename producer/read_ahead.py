"""Reads from the source what the next commits store: each commit costs a round trip to Redis, and a part a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from producer.read_result import ReadResult

if TYPE_CHECKING:
    from collections.abc import Collection

    from producer.matching import Matcher
    from producer.source import Source

BATCH_BYTES: Final = 1024 * 1024
MAX_READS_PER_COMMIT: Final = 4
COMMIT_BYTES: Final = 64 * 1024
"""Up to MAX_READS_PER_COMMIT batches are read before their matches are committed. Fewer are read once the matches reach
COMMIT_BYTES per integration on average, unless one of these integrations folds: in a flood of 100 groups, four batches
cost it half as much as four times one batch (`ops.bench.folding`). Only matching lines stay in memory.
"""


def read_ahead(source: Source, matcher: Matcher, cursor: str, folding: Collection[str]) -> tuple[ReadResult, str, bool]:
    """Return what each integration gets and does not get, the cursor behind it, and whether that is the end.

    `folding` are the ids of the integrations whose alerts are folded.
    """
    reading, size = ReadResult(), 0
    for _ in range(MAX_READS_PER_COMMIT):
        batch = source.read(cursor, BATCH_BYTES)
        size += matcher.match(batch, reading)
        cursor, matches = batch.cursor, reading.matches
        if batch.at_end or (size >= COMMIT_BYTES * len(matches) and matches.keys().isdisjoint(folding)):
            break
    return reading, cursor, batch.at_end
