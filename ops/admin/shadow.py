"""Counts what Courier would send of an alert log that a stock Integrator is serving; sends nothing, needs no Redis.

It reads with the producer's own log reader and filters, and asks the workers' own integrations what they would send.
What a service would answer it cannot know: so it counts messages, not outcomes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.outcome import Skipped
from ops.admin.render import Renderer
from ops.admin.terminal import Column, ColumnKind, pluralize
from producer.filters.decode import InvalidAlert
from producer.filters.index import FilterIndex
from producer.salvage import salvage_alerts
from workers.alert.alert import Alert
from workers.integrations.base import NotSendable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings
    from producer.log_lines import LogLine
    from producer.source import Batch, Source

BATCH_BYTES: Final = 1024 * 1024
COLUMNS: Final = (
    Column("Integration", ColumnKind.ID),
    Column("Matched", ColumnKind.NUMBER, rank=0),
    Column("Would send", ColumnKind.NUMBER, rank=0),
    Column("Skipped", rank=1),
    Column("Refused", rank=2),
)

_encode = msgspec.json.Encoder().encode


@dataclass
class Counts:
    """Of one integration: alerts that pass its filters, and what becomes of them; skipped and refused by reason."""

    matched: int = 0
    would_send: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def row(self, name: str) -> tuple[str, ...]:
        """Return the cells of its line in the table."""
        return name, str(self.matched), str(self.would_send), _by_reason(self.skipped), _by_reason(self.refused)


class Shadow:
    """Reads on from `cursor`, a cursor of `source`. `out` gets each rendered delivery as a line of JSON."""

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
    ) -> None:
        self._index = FilterIndex(integrations)
        self._renderers = {one.id: Renderer(one, policy(one), worker) for one in integrations}
        self._source, self._cursor, self._node, self._out = source, cursor, node, out
        self.counts = {one.id: Counts() for one in integrations}
        self.lines = 0
        self.skipped: Counter[str] = Counter()

    def read(self) -> bool:
        """Read on a little; say whether that was the end of the log for now. Raises OSError for `out`."""
        batch = self._source.read(self._cursor, BATCH_BYTES)
        self._take(batch)
        self._cursor = batch.cursor
        return batch.at_end

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table, one line an integration."""
        return [counts.row(name) for name, counts in self.counts.items()]

    def summary(self) -> str:
        """Return what was read, in words."""
        passed = f", passed over: {_by_reason(self.skipped)}" if self.skipped else ""
        return f"{pluralize(self.lines, 'line')} read{passed}; nothing was sent"

    def _take(self, batch: Batch) -> None:
        self.lines += len(batch.lines)
        self.skipped.update(str(passed.reason) for passed in batch.skipped)
        for line in batch.lines:
            try:
                self._match(line)
            except InvalidAlert as bad:
                self.skipped[bad.reason] += 1
                for part in salvage_alerts(line):
                    self._match(part)
        if self._out:
            self._out.flush()

    def _match(self, line: LogLine) -> None:
        """Count it for each integration that gets it. Raises InvalidAlert."""
        for integration_id in self._index.match(line.raw):
            self._count(integration_id, line)

    def _count(self, integration_id: str, line: LogLine) -> None:
        alert, counts = Alert(line.raw, f"{self._node}:{line.id}"), self.counts[integration_id]
        counts.matched += 1
        renderer = self._renderers[integration_id]
        try:
            renderer.build_calls(alert)
        except NotSendable as refusal:
            kind = counts.skipped if isinstance(refusal.outcome, Skipped) else counts.refused
            kind[str(refusal.outcome.reason)] += 1
        else:
            counts.would_send += 1
        if self._out:
            self._out.write(_encode(_record(alert, renderer.render(alert))) + b"\n")


def _record(alert: Alert, rendered: Any) -> dict[str, Any]:
    """Return a line of `--out`: which delivery, which alert by its own id, and what would go out."""
    try:
        alert_id = alert.fields.get("id")
    except ValueError:
        alert_id = None
    known = {"alert": alert_id} if isinstance(alert_id, str) else {}
    return {"delivery": alert.delivery_id, **known, **msgspec.to_builtins(rendered)}


def _by_reason(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "-"
