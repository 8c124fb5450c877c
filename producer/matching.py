"""Matches the lines of a read against all integrations, and counts them: each line once, however often it is read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from common.reports.producer import REJECTED, WRONG_TYPE
from producer.broken_lines import recover_alerts
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert
from producer.filters.index import NO_CONDITIONS, FilterIndex
from producer.line_counter import LineCounter

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from common.integration import Integration
    from producer.filters.agents import AgentGroups
    from producer.filters.index import MatchResult
    from producer.quarantine import Quarantine
    from producer.read_result import ReadResult
    from producer.silences import RunningSilences
    from producer.source import Batch, Line


class Matcher:
    """Matches lines against `integrations`, whose conditions can use the named ones and the groups of `agents`.

    Rejected lines are quarantined. `running` are the silences that run at this moment.
    """

    running: RunningSilences | None = None

    def __init__(
        self,
        integrations: Sequence[Integration],
        quarantine: Quarantine,
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        self._index, self._quarantine = FilterIndex(integrations, named_conditions, agents), quarantine
        self._line_counter = LineCounter()

    def configure(
        self,
        integrations: Sequence[Integration],
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        """Match against these integrations from now on."""
        self._index = FilterIndex(integrations, named_conditions, agents)

    @property
    def counts(self) -> Counter[str]:
        """The counters since the last report."""
        return self._line_counter.counts

    def match(self, batch: Batch, reading: ReadResult) -> int:
        """Add what each integration matches and does not get, and count the lines. Return the size of matches in bytes.

        What an integration does not get is counted with the commit, since a line can be read again.
        """
        size = 0
        number, lines = self._index.prefilter(batch.lines)
        for line in lines:
            try:
                found = self._index.evaluate(line.raw)
            except InvalidAlert as bad:
                size += self._match_damaged(line, bad, reading)
                continue
            if self._index.type_errors:
                self._count_type_errors(line)
            if found.ids or found.excepted:  # most lines have neither
                size += self._add(found, line, reading)
        reading.add_batch(batch.lines, number, has_matches=size > 0)
        for skipped in batch.skipped:
            if not batch.lines or self._line_counter.is_new(batch.lines[-1]):
                self._reject(skipped.reason, skipped.detail, skipped.sample)
        self._line_counter.count(batch.lines, number)
        return size

    def _match_damaged(self, line: Line, bad: InvalidAlert, reading: ReadResult) -> int:
        """Add the whole alerts on an invalid line, and quarantine the line. Return the size of its matches in bytes."""
        whole, size = recover_alerts(line), 0
        reading.correct(line, -1)
        for part in whole:
            with suppress(InvalidAlert):
                size += self._add(self._index.evaluate(part.raw), part, reading)
                reading.correct(part, 1)
        self._index.type_errors.clear()
        if self._line_counter.is_new(line):
            read = f"; {len(whole)} whole alert(s) on the line were used" if whole else ""
            self._reject(bad.reason, f"{bad}, at {line.location}{read}", line.raw)
        return size

    def _count_type_errors(self, line: Line) -> None:
        if self._line_counter.is_new(line):
            self.counts.update(f"{WRONG_TYPE}{field}" for field in self._index.type_errors)
        self._index.type_errors.clear()

    def _reject(self, reason: str, detail: str, sample: bytes) -> None:
        self.counts[f"{REJECTED}{reason}"] += 1
        self._quarantine.add(reason, detail, sample)

    def _add(self, found: MatchResult, line: Line, reading: ReadResult) -> int:
        """Add the result for one line. Return its size in bytes, 0 if no integration gets it."""
        matches = reading.matches
        for integration_id in found.excepted:
            reading.excepted[integration_id].append(len(matches.get(integration_id, ())))
        ids: Sequence[str] = found.ids
        if ids and self.running is not None:
            ids = self.running.apply(ids, line, reading)
        for integration_id in ids:
            matches[integration_id].append(line)
        return len(line.raw) if ids else 0
