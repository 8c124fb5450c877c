"""Count how many more or fewer alerts of the archived log an integration would match with other filters.

Both versions, as it is now and as it would be, are matched at once with the producer's own index. Only lines that one
of them matches are decoded further, for their rule and agent.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.conditions.values import text_of
from ops.admin.terminal import Column, ColumnKind
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert, decode_alert
from producer.filters.index import NO_CONDITIONS, FilterIndex
from producer.salvage import salvage_alerts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from common.integration import Integration
    from ops.admin.replay_log import TimeRange
    from producer.filters.agents import AgentGroups
    from producer.source import Batch, Line, Source

READ_BYTES: Final = 1024 * 1024
TOP: Final = 10
"""Rules and agents that are shown."""

MAX_KEYS: Final = 100_000
"""Rules, and agents, that are counted apart; the rest counts as OTHERS. An attacker can invent agents' names."""

OTHERS: Final = "(others)"

NUMBERS: Final = ("Now", "Then", "More", "Fewer")
_NUMBERS: Final = tuple(Column(name, ColumnKind.NUMBER, rank=0) for name in NUMBERS)
DAY_COLUMNS: Final = (Column("Day", ColumnKind.ID), *_NUMBERS)
RULE_COLUMNS: Final = (Column("Rule", ColumnKind.ID), *_NUMBERS, Column("Description"))
AGENT_COLUMNS: Final = (Column("Agent", ColumnKind.ID), *_NUMBERS, Column("Name"))


class Pair(NamedTuple):
    """An integration as it is now, None if it is new, and as it would be."""

    id: str
    now: Integration | None
    then: Integration


@dataclass(slots=True)
class Tally:
    """Numbers of alerts: that match now, that would match, and that only one of the two matches. `text` explains."""

    now: int = 0
    then: int = 0
    more: int = 0
    fewer: int = 0
    text: str = ""

    def add(self, *, now: bool, then: bool) -> None:
        """Count one alert."""
        self.now += now
        self.then += then
        self.more += then and not now
        self.fewer += now and not then

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The numbers in the order of NUMBERS."""
        return self.now, self.then, self.more, self.fewer

    @property
    def order(self) -> tuple[int, int]:
        """What the top is sorted by: most changes, then most matches."""
        return -self.more - self.fewer, -self.then - self.now


@dataclass(slots=True)
class Change:
    """What changes for one integration: in all, and by day, rule and agent."""

    total: Tally = field(default_factory=Tally)
    days: dict[str, Tally] = field(default_factory=dict)
    rules: dict[str, Tally] = field(default_factory=dict)
    agents: dict[str, Tally] = field(default_factory=dict)

    def add(self, facts: Facts, *, now: bool, then: bool) -> None:
        """Count one alert."""
        self.total.add(now=now, then=then)
        for tallies, key, text in (
            (self.days, facts.day, ""),
            (self.rules, facts.rule, facts.description),
            (self.agents, facts.agent, facts.agent_name),
        ):
            tally = tallies.get(key)
            if tally is None:
                name = key if len(tallies) < MAX_KEYS else OTHERS
                tally = tallies.setdefault(name, Tally(text=text if name == key else ""))
            tally.add(now=now, then=then)


class Facts(NamedTuple):
    """What an alert is counted by. `day` is that of its manager, the name of the log file."""

    day: str
    rule: str
    description: str
    agent: str
    agent_name: str


@dataclass(slots=True)
class Progress:
    """Progress. `part` goes from 0 to 1 by timestamp."""

    read: int = 0
    part: float = 0.0


class Preview:
    """Reads a period of the log once, for all `pairs`. `changes` has the result, by integration id."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        time_range: TimeRange,
        source: Source,
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        """Prepare the filters. Raises ConditionError, and ValueError if an `event_location` is too long."""
        self._time_range, self._source = time_range, source
        self.changes = {pair.id: Change() for pair in pairs}
        versions: dict[str, Integration] = {}
        for pair in pairs:
            versions |= {f"<{pair.id}": pair.now} if pair.now else {}
            versions[f">{pair.id}"] = pair.then
        both = [msgspec.structs.replace(one, id=key) for key, one in versions.items()]
        self._index = FilterIndex(both, named_conditions, agents)
        self.lines = 0
        self.skipped: Counter[str] = Counter()
        self.missing: list[str] = []

    def run(self) -> Iterator[Progress]:
        """Read the period; yield the progress."""
        cursor, progress, done = self._source.at(self._time_range.start), Progress(), False
        while not done:
            batch = self._source.read(cursor, READ_BYTES)
            self._take(batch)
            progress.read = self.lines
            progress.part = max(progress.part, self._time_range.part(batch))
            cursor, done = batch.cursor, self._time_range.is_over(batch)
            yield progress

    def _take(self, batch: Batch) -> None:
        number, lines = self._index.prefilter(batch.lines)
        self.lines += number
        self.missing += [one.detail for one in batch.skipped]
        evaluate = self._index.evaluate
        for line in lines:
            try:
                ids = evaluate(line.raw).ids
            except InvalidAlert as bad:
                self.skipped[bad.reason] += 1
                for part in salvage_alerts(line):
                    with suppress(InvalidAlert):
                        self._count(evaluate(part.raw).ids, part)
                continue
            if ids:
                self._count(ids, line)

    def _count(self, ids: tuple[str, ...], line: Line) -> None:
        if not ids or not self._time_range.contains(line):
            return
        facts = facts_of(line.raw)
        for one in dict.fromkeys(version[1:] for version in ids):
            self.changes[one].add(facts, now=f"<{one}" in ids, then=f">{one}" in ids)


class _Rule(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    description: str = ""


class _Agent(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    name: str = ""


class _Alert(msgspec.Struct, frozen=True, gc=False):
    timestamp: str
    rule: _Rule = _Rule()
    agent: _Agent = _Agent()


_decode: Final = msgspec.json.Decoder(_Alert).decode
_DAY_CHARS: Final = 10


def facts_of(raw: bytes) -> Facts:
    """Return what a line that the index accepts is counted by; a value of the wrong type counts as its text."""
    try:
        alert = _decode(raw)
    except (ValueError, RecursionError):  # of any kind: all of msgspec's, and UnicodeDecodeError
        return _leniently(decode_alert(raw))
    rule, agent = alert.rule, alert.agent
    return Facts(alert.timestamp[:_DAY_CHARS], rule.id, rule.description, agent.id, agent.name)


def _leniently(alert: dict[str, Any]) -> Facts:
    def text(section: str, key: str) -> str:
        part = alert.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        return "" if value is None else text_of(value) or ""

    day = (text_of(alert.get("timestamp") or "") or "")[:_DAY_CHARS]
    return Facts(day, text("rule", "id"), text("rule", "description"), text("agent", "id"), text("agent", "name"))


def rows(tallies: Mapping[str, Tally]) -> list[tuple[str, ...]]:
    """Return the rows of a table: key, numbers and text."""
    return [(key or "-", *map(str, one.numbers), one.text) for key, one in tallies.items()]


def top(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    """Return the TOP entries with the most changes; without changes, with the most matches."""
    return dict(sorted(tallies.items(), key=lambda item: (*item[1].order, item[0]))[:TOP])


def as_json(change: Change) -> dict[str, Any]:
    """Return the result for one integration, for JSON."""

    def listed(tallies: Mapping[str, Tally], key: str, text: str = "") -> list[dict[str, Any]]:
        return [{key: name} | ({text: one.text} if text else {}) | _numbers(one) for name, one in tallies.items()]

    return {
        **_numbers(change.total),
        "days": listed(dict(sorted(change.days.items())), "day"),
        "rules": listed(top(change.rules), "id", "description"),
        "agents": listed(top(change.agents), "id", "name"),
    }


def _numbers(tally: Tally) -> dict[str, int]:
    return dict(zip(map(str.lower, NUMBERS), tally.numbers, strict=True))
