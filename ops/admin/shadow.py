"""Count what Courier would send for the alert log of a stock Integrator, without sending and without Redis.

It uses the log reader and filters of the producer and the integrations of the workers. The response of a service is
unknown, so it counts messages, not outcomes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.outcome import Skipped
from ops.admin.render import Renderer
from ops.admin.terminal import Column, ColumnKind, pluralize
from producer.broken_lines import recover_alerts
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert
from producer.filters.index import NO_CONDITIONS, FilterIndex
from workers.alert.alert import Alert
from workers.integrations.base import NotSendable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings
    from producer.filters.agents import AgentGroups
    from producer.source import Batch, Line, Source

BATCH_BYTES: Final = 1024 * 1024
COLUMNS: Final = (
    Column("Integration", ColumnKind.ID),
    Column("Matched", ColumnKind.NUMBER, rank=0),
    Column("Would send", ColumnKind.NUMBER, rank=0),
    Column("Skipped", rank=1),
    Column("Rejected", rank=2),
)

_encode = msgspec.json.Encoder().encode


@dataclass
class Counts:
    """For one integration: alerts that match its filters, and messages; skipped and rejected alerts by reason."""

    matched: int = 0
    would_send: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def row(self, name: str) -> tuple[str, ...]:
        """Return its row of the table."""
        return name, str(self.matched), str(self.would_send), _by_reason(self.skipped), _by_reason(self.rejected)


class Shadow:
    """Reads `source` from `cursor`. Each rendered delivery is written to `out` as a line of JSON."""

    def __init__(
        self,
        integrations: Sequence[Integration],
        *,
        policy: Callable[[Integration], Policy],
        worker: WorkerSettings,
        source: Source,
        cursor: str,
        node: str,
        out: BinaryIO | None = None,
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        self._index = FilterIndex(integrations, named_conditions, agents)
        self._renderers = {one.id: Renderer(one, policy(one), worker) for one in integrations}
        self._source, self._cursor, self._node, self._out = source, cursor, node, out
        self.counts = {one.id: Counts() for one in integrations}
        self.lines = 0
        self.skipped: Counter[str] = Counter()

    def read(self) -> bool:
        """Read one batch; return whether it reached the end of the log. Raises OSError if `out` cannot be written."""
        batch = self._source.read(self._cursor, BATCH_BYTES)
        self._take(batch)
        self._cursor = batch.cursor
        return batch.at_end

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table, one row per integration."""
        return [counts.row(name) for name, counts in self.counts.items()]

    def summary(self) -> str:
        """Return the number of lines read and skipped, as text."""
        skipped = f", skipped: {_by_reason(self.skipped)}" if self.skipped else ""
        return f"{pluralize(self.lines, 'line')} read{skipped}; nothing was sent"

    def _take(self, batch: Batch) -> None:
        self.lines += len(batch.lines)
        self.skipped.update(str(one.reason) for one in batch.skipped)
        for line in batch.lines:
            try:
                self._match(line)
            except InvalidAlert as bad:
                self.skipped[bad.reason] += 1
                for part in recover_alerts(line):
                    self._match(part)
        if self._out:
            self._out.flush()

    def _match(self, line: Line) -> None:
        """Count the line for each integration that it matches. Raises InvalidAlert."""
        for integration_id in self._index.match(line.raw):
            self._count(integration_id, line)

    def _count(self, integration_id: str, line: Line) -> None:
        alert, counts = Alert(line.raw, f"{self._node}:{line.id}"), self.counts[integration_id]
        counts.matched += 1
        renderer = self._renderers[integration_id]
        try:
            renderer.build_calls(alert)
        except NotSendable as refusal:
            kind = counts.skipped if isinstance(refusal.outcome, Skipped) else counts.rejected
            kind[str(refusal.outcome.reason)] += 1
        else:
            counts.would_send += 1
        if self._out:
            self._out.write(_encode(_record(alert, renderer.render(alert))) + b"\n")


def _record(alert: Alert, rendered: Any) -> dict[str, Any]:
    """Return a record of `--out`: the delivery id, the alert's own id, and the rendered calls."""
    try:
        alert_id = alert.fields.get("id")
    except ValueError:
        alert_id = None
    known = {"alert": alert_id} if isinstance(alert_id, str) else {}
    return {"delivery": alert.delivery_id, **known, **msgspec.to_builtins(rendered)}


def _by_reason(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "-"
