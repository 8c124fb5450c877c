"""What a producer counts, each line once: it may read one again, for a parked integration or after an outage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from producer.source import Batch, Line

FILES: Final = 16
"""Files of which the furthest counted place is remembered: more are never read at the same time."""


class Tally:
    """Counters to be reported, and up to where each file's lines have been counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._until: dict[str, int] = {}

    def is_new(self, line: Line) -> bool:
        """Say whether a line has not been counted yet."""
        return line.start >= self._until.get(line.file, 0)

    def count(self, batch: Batch) -> None:
        """Count the lines of a batch that has been dealt with; until then they are new."""
        if not batch.lines:
            return
        first, last = batch.lines[0], batch.lines[-1]
        if first.file == last.file and self.is_new(first):  # nearly always: no need to look at each
            self._add(last, len(batch.lines))
            return
        for line in filter(self.is_new, batch.lines):
            self._add(line, 1)

    def _add(self, last: Line, number: int) -> None:
        self.counts["lines"] += number
        self._until.pop(last.file, None)
        self._until[last.file] = last.end
        if len(self._until) > FILES:
            del self._until[next(iter(self._until))]
