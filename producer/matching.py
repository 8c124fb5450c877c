"""Matches the lines of a read against all integrations, and counts them: each line once, however often it is read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from producer.line_counter import LineCounter
from producer.salvage import salvage_alerts

if TYPE_CHECKING:
    from collections import Counter, defaultdict
    from collections.abc import Sequence

    from common.integration import Integration
    from producer.quarantine import Quarantine
    from producer.source import Batch, Line

    Matches = defaultdict[str, list[Line]]
    """The matching lines of each integration, by its id."""


class Matcher:
    """Matches lines against `integrations`. Rejected lines go to the quarantine."""

    def __init__(self, integrations: Sequence[Integration], quarantine: Quarantine) -> None:
        self._index, self._quarantine = FilterIndex(integrations), quarantine
        self._line_counter = LineCounter()

    def configure(self, integrations: Sequence[Integration]) -> None:
        """Match against these integrations from now on."""
        self._index = FilterIndex(integrations)

    @property
    def counts(self) -> Counter[str]:
        """The counters since the last report."""
        return self._line_counter.counts

    def match(self, batch: Batch, matches: Matches) -> int:
        """Add the matches of each integration, and count the lines. Return the size of matching lines in bytes."""
        size = 0
        number, lines = self._index.prefilter(batch.lines)
        for line in lines:
            try:
                ids = self._index.match(line.raw)
            except InvalidAlert as bad:
                size += self._match_damaged(line, bad, matches)
                continue
            if self._index.type_errors:
                self._count_type_errors(line)
            for integration_id in ids:
                matches[integration_id].append(line)
            size += len(line.raw) if ids else 0
        for skipped in batch.skipped:
            if not batch.lines or self._line_counter.is_new(batch.lines[-1]):
                self._reject(skipped.reason, skipped.detail, skipped.sample)
        self._line_counter.count(batch.lines, number)
        return size

    def _match_damaged(self, line: Line, bad: InvalidAlert, matches: Matches) -> int:
        """Add the whole alerts on an invalid line, and quarantine the line. Return the size of its matches in bytes."""
        whole, size = salvage_alerts(line), 0
        for part in whole:
            with suppress(InvalidAlert):
                ids = self._index.match(part.raw)
                for integration_id in ids:
                    matches[integration_id].append(part)
                size += len(part.raw) if ids else 0
        self._index.type_errors.clear()
        if self._line_counter.is_new(line):
            read = f"; {len(whole)} whole alert(s) on the line were used" if whole else ""
            self._reject(bad.reason, f"{bad}, at {line.location}{read}", line.raw)
        return size

    def _count_type_errors(self, line: Line) -> None:
        if self._line_counter.is_new(line):
            self.counts.update(f"wrong_type:{field}" for field in self._index.type_errors)
        self._index.type_errors.clear()

    def _reject(self, reason: str, detail: str, sample: bytes) -> None:
        self.counts[f"bad:{reason}"] += 1
        self._quarantine.add(reason, detail, sample)
