"""What a producer counts, each line once: it may read one again, for a parked integration or after an outage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from producer.log_lines import LogLine, LogLines

MAX_TRACKED_FILES: Final = 16
"""Files of which the furthest counted place is remembered: more are never read at the same time."""


class LineCounter:
    """Counters to be reported, and up to where each file's lines have been counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._until: dict[str, int] = {}

    def is_new(self, line: LogLine | LogLines) -> bool:
        """Say whether a line has not been counted yet; of several, whether none has."""
        return line.start >= self._until.get(line.file, 0)

    def count(self, lines: LogLines, number: int) -> None:
        """Count lines, so many, that have been dealt with; until then they are new."""
        if not lines:
            return
        if self.is_new(lines):  # nearly always: no need to look at each
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
