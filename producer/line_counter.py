"""Counts each line once, although a line can be read again: after backpressure or after a Redis outage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from producer.log_lines import LogLine, LogLines

MAX_TRACKED_FILES: Final = 16
"""Files whose highest counted offset is remembered. More are never read at the same time."""


class LineCounter:
    """`counts` holds the counters since the last report; each file's lines are counted up to an offset."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._until: dict[str, int] = {}

    def is_new(self, line: LogLine | LogLines) -> bool:
        """Say whether a line has not been counted yet; for several lines, whether none of them has."""
        return line.start >= self._until.get(line.file, 0)

    def count(self, lines: LogLines, number: int) -> None:
        """Count `number` lines after they were processed; until then they are new."""
        if not lines:
            return
        if self.is_new(lines):  # nearly always, and cheaper than to check each line
            self._add(lines, number)
            return
        for line in filter(self.is_new, lines):
            self._add(line, 1)

    def _add(self, last: LogLine | LogLines, number: int) -> None:
        self.counts["lines"] += number
        self._until.pop(last.file, None)
        self._until[last.file] = last.end
        if len(self._until) > MAX_TRACKED_FILES:
            del self._until[next(iter(self._until))]
