"""Read a period of the archived alert log again and enqueue matching alerts for one integration.

A replay does not duplicate by accident. Deliveries get the same ids as the first time, so those that are still queued
or are dead letters do not change. The ledger stores the progress of each replay like a producer's cursor: an
interrupted replay continues, and a finished one does nothing without `--again`.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import CourierError
from common.ledger import Full, Stored
from common.timestamps import written_at_s
from ops.admin.times import last_written_s
from producer.broken_lines import recover_alerts
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert
from producer.filters.index import NO_CONDITIONS, FilterIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from common.integration import Integration
    from common.ledger import Ledger
    from common.settings.schema import Policy
    from producer.filters.agents import AgentGroups
    from producer.source import Batch, Line, Source

READ_BYTES: Final = 256 * 1024
CHUNK: Final = 100
"""Deliveries per commit; the rate is applied between commits."""

REORDER_WINDOW_S: Final = 300.0
"""Log lines are only nearly in order of time, so reading continues this long past the end of the period."""

BACKLOG_RETRY_S: Final = 1.0


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """A period of the log; `stop` is exclusive."""

    start: datetime
    stop: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.stop.isoformat()}"

    def contains(self, line: Line) -> bool:
        """Return whether the line's timestamp is in the period; False for a line without one."""
        at_s = written_at_s(line.raw)
        return at_s is not None and self.start.timestamp() <= at_s < self.stop.timestamp()

    def contains_all(self, batch: Batch) -> bool:
        """Return whether all lines of the batch are in the period, since both ends are REORDER_WINDOW_S inside."""
        ends = [written_at_s(line.raw) for line in (batch.lines[0], batch.lines[-1])] if batch.lines else []
        first_s, last_s = self.start.timestamp() + REORDER_WINDOW_S, self.stop.timestamp() - REORDER_WINDOW_S
        return all(at_s is not None and first_s <= at_s < last_s for at_s in ends)

    def is_over(self, batch: Batch) -> bool:
        """Return whether reading is past the end of the period, REORDER_WINDOW_S included."""
        return batch.at_end or (last_written_s(batch) or 0.0) >= self.stop.timestamp() + REORDER_WINDOW_S

    def part(self, batch: Batch) -> float:
        """Return how much of the period is before the end of the batch, from 0 to 1 by timestamp."""
        start_s, stop_s = self.start.timestamp(), self.stop.timestamp()
        last_s = written_at_s(batch.lines[-1].raw) if batch.lines else None
        return min(max(((last_s or start_s) - start_s) / (stop_s - start_s), 0.0), 1.0)


class Progress(msgspec.Struct, kw_only=True):
    """Progress. `part` goes from 0 to 1 by timestamp; `enqueued` excludes deliveries that already existed."""

    read: int = 0
    matched: int = 0
    enqueued: int = 0
    part: float = 0.0
    missing: tuple[str, ...] = ()


class LogReplay:
    """One replay. `pace` is called with the number of deliveries just enqueued; it sleeps to limit the rate."""

    def __init__(
        self,
        time_range: TimeRange,
        integration: Integration,
        *,
        match: Sequence[str] = (),
        node: str,
        source: Source,
        ledger: Ledger,
        policy: Policy,
        pace: Callable[[int], object],
        sleep: Callable[[float], object],
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        """`node` is the node name of the manager that wrote the log; `match` are conditions that must hold, too."""
        self._time_range, self._integration, self._node = time_range, integration, node
        self._source, self._ledger, self._policy = source, ledger, policy
        self._pace, self._sleep = pace, sleep
        limited = msgspec.structs.replace(integration, only=(*integration.only, *match))
        self._index = FilterIndex([limited], named_conditions, agents)
        # A replay with other conditions has its own progress: it would skip what this one has read.
        suffix = f":{sha256(msgspec.json.encode(match)).hexdigest()[:8]}" if match else ""
        self._reader = f"replay:{node}:{time_range}{suffix}"

    def count(self) -> Iterator[Progress]:
        """Read the period without enqueueing; yield the progress."""
        yield from self._run(self._source.at(self._time_range.start), lambda _matches, _after: 0)

    def run(self, *, again: bool) -> Iterator[Progress]:
        """Enqueue; yield the progress.

        Raises CourierError if this period was already replayed and `again` is not set, or if another replay of it is
        running; LedgerUnavailable and LedgerMisconfigured.
        """
        cursor = self._ledger.cursor(self._integration.id, self._reader)
        if cursor == FINISHED and not again:
            raise CourierError(
                f"{self._time_range} was already replayed to {self._integration.id}; to repeat it, use --again"
            )
        self._committed = cursor
        start = cursor if cursor and cursor != FINISHED else self._source.at(self._time_range.start)
        yield from self._run(start, self._enqueue)
        self._commit([], FINISHED)

    def _run(self, cursor: str, take: Callable[[list[Line], str], int]) -> Iterator[Progress]:
        progress, done = Progress(), False
        while not done:
            batch = self._source.read(cursor, READ_BYTES)
            matches = [line for line in self._alerts(batch) if self._time_range.contains(line)]
            progress.enqueued += take(matches, batch.cursor)
            progress.read += len(batch.lines)
            progress.matched += len(matches)
            progress.missing += tuple(one.detail for one in batch.skipped)
            progress.part = max(progress.part, self._time_range.part(batch))
            cursor, done = batch.cursor, self._time_range.is_over(batch)
            yield progress

    def _alerts(self, batch: Batch) -> Iterator[Line]:
        """Yield the alerts that match the filters; from a damaged line, the alerts in it that are complete."""
        for line in batch.lines:
            try:
                if self._index.match(line.raw):
                    yield line
            except InvalidAlert:
                yield from (part for part in recover_alerts(line) if self._index.match(part.raw))

    def _enqueue(self, matches: list[Line], after: str) -> int:
        stored = 0
        for start in range(0, len(matches), CHUNK):
            chunk = matches[start : start + CHUNK]
            is_last = start + CHUNK >= len(matches)
            stored += self._commit(chunk, after if is_last else chunk[-1].next_cursor)
            self._pace(len(chunk))
        if not matches:
            self._commit([], after)
        return stored

    def _commit(self, lines: list[Line], cursor: str) -> int:
        """Commit, and wait while the backlog is full."""
        while True:
            result = self._ledger.commit(
                self._integration.id,
                node=self._reader,
                expected=self._committed,
                cursor=cursor,
                deliveries=[(f"{self._node}:{line.id}", line.raw) for line in lines],
                max_backlog=self._policy.max_backlog,
                max_backlog_bytes=self._policy.max_backlog_bytes,
                replayed=True,
                counters={"read": len(lines)} if lines else {},
            )
            if isinstance(result, Full):
                self._sleep(BACKLOG_RETRY_S)
                continue
            if not isinstance(result, Stored):
                raise CourierError(f"another replay of {self._time_range} to {self._integration.id} is running")
            self._committed = cursor
            return result.stored


FINISHED: Final = "done"
"""Replaces the cursor of a replay when it is complete."""
