"""Counts each line once, although a line can be read again: after backpressure or after a Redis outage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from producer.source import Lines, Span

MAX_TRACKED_STREAMS: Final = 16
"""Streams whose highest counted position is remembered. More are never read at the same time."""


class LineCounter:
    """`counts` holds the counters since the last report; each stream's lines are counted up to a position."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._read = _Positions()

    def is_new(self, line: Span) -> bool:
        """Say whether a line has not been counted yet; for several lines, whether none of them has."""
        return self._read.are_before(line)

    def count(self, lines: Lines, number: int) -> None:
        """Count `number` lines after they were processed; until then they are new."""
        if not lines:
            return
        if self.is_new(lines):  # nearly always, and cheaper than to check each line
            self._add(lines, number)
            return
        for line in filter(self.is_new, lines):
            self._add(line, 1)

    def _add(self, last: Span, number: int) -> None:
        self.counts["lines"] += number
        self._read.advance(last)


class _Positions:
    """Up to where each stream is counted."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def are_before(self, span: Span) -> bool:
        """Say whether nothing of `span` is counted."""
        return span.start >= self._until.get(span.stream, 0)

    def advance(self, span: Span) -> None:
        """Move the position of its stream behind `span`."""
        self._until.pop(span.stream, None)
        self._until[span.stream] = span.end
        if len(self._until) > MAX_TRACKED_STREAMS:
            del self._until[next(iter(self._until))]
