"""Count how many more or fewer alerts of the archived log an integration would match with other filters.

Both versions, as it is now and as it would be, are matched at once with the producer's own index. Only lines that one
of them matches are decoded further, for their rule and agent.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from common.conditions.values import text_of
from ops.admin.terminal import Column, ColumnKind
from producer.broken_lines import recover_alerts
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert, decode_alert
from producer.filters.index import NO_CONDITIONS, FilterIndex

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

NOW: Final = "<"
THEN: Final = ">"
"""In front of an integration's id: the id of its present and of its new version in the index."""

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


class Match(IntEnum):
    """Which versions of an integration match an alert."""

    BOTH = 0
    THEN = 1
    NOW = 2


_VERSIONS: Final = {NOW: Match.NOW, THEN: Match.THEN}


class Tally:
    """Numbers of alerts by `Match`. `text` explains what they have in common."""

    __slots__ = ("counts", "text")

    def __init__(self, text: str = "") -> None:
        self.counts, self.text = [0, 0, 0], text

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The numbers in the order of NUMBERS."""
        both, more, fewer = self.counts
        return both + fewer, both + more, more, fewer

    @property
    def order(self) -> tuple[int, int]:
        """What the top is sorted by: most changes, then most matches."""
        both, more, fewer = self.counts
        return -more - fewer, -both


class Change:
    """What changes for one integration: in all, and by day, rule and agent."""

    def __init__(self) -> None:
        self.total = Tally()
        self.days: dict[str, Tally] = {}
        self.rules: dict[str, Tally] = {}
        self.agents: dict[str, Tally] = {}

    def add(self, facts: Facts, match: Match) -> None:
        """Count one alert."""
        self.total.counts[match] += 1
        (self.days.get(facts.day) or _new(self.days, facts.day)).counts[match] += 1
        (self.rules.get(facts.rule) or _new(self.rules, facts.rule, facts.description)).counts[match] += 1
        (self.agents.get(facts.agent) or _new(self.agents, facts.agent, facts.agent_name)).counts[match] += 1


def _new(tallies: dict[str, Tally], key: str, text: str = "") -> Tally:
    """Return the tally of a new key; that of OTHERS if there are too many."""
    if len(tallies) >= MAX_KEYS:
        key, text = OTHERS, ""
    return tallies.setdefault(key, Tally(text))


class Facts(NamedTuple):
    """What an alert is counted by. `day` is that of its manager, the name of the log file; empty without a time."""

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
            versions |= {f"{NOW}{pair.id}": pair.now} if pair.now else {}
            versions[f"{THEN}{pair.id}"] = pair.then
        both = [msgspec.structs.replace(one, id=key) for key, one in versions.items()]
        self._index = FilterIndex(both, named_conditions, agents)
        self._counted: dict[tuple[str, ...], list[tuple[Change, Match]]] = {}
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
        evaluate, is_inside = self._index.evaluate, self._time_range.contains_all(batch)
        for line in lines:
            try:
                ids = evaluate(line.raw).ids
            except InvalidAlert as bad:
                self.skipped[bad.reason] += 1
                for part in recover_alerts(line):
                    with suppress(InvalidAlert):
                        self._count(evaluate(part.raw).ids, part, is_inside=False)
                continue
            if ids:
                self._count(ids, line, is_inside=is_inside)

    def _count(self, ids: tuple[str, ...], line: Line, *, is_inside: bool) -> None:
        """Count an alert that these versions match. `is_inside` saves the search for its time, a third of the cost."""
        if not is_inside and not self._time_range.contains(line):
            return
        facts = facts_of(line.raw)
        if facts.day:
            for change, match in self._counted.get(ids) or self._remember(ids):
                change.add(facts, match)

    def _remember(self, ids: tuple[str, ...]) -> list[tuple[Change, Match]]:
        """Return where to count an alert that these versions match, and how."""
        if len(self._counted) >= MAX_KEYS:
            self._counted.clear()
        matched = dict[str, Match]()
        for version in ids:
            matched[version[1:]] = Match.BOTH if version[1:] in matched else _VERSIONS[version[0]]
        self._counted[ids] = [(self.changes[one], match) for one, match in matched.items()]
        return self._counted[ids]


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


def facts_of(raw: bytes) -> Facts:
    """Return what a line that the index accepts is counted by; a value of the wrong type counts as its text."""
    try:
        alert = _decode(raw)
    except (ValueError, RecursionError):  # of any kind: all of msgspec's, and UnicodeDecodeError
        return _leniently(decode_alert(raw))
    rule, agent = alert.rule, alert.agent
    return Facts(_day(alert.timestamp), rule.id, rule.description, agent.id, agent.name)


def _day(timestamp: str) -> str:
    return timestamp[:10] if timestamp[4:5] == "-" else ""


def _leniently(alert: dict[str, Any]) -> Facts:
    def text(section: str, key: str) -> str:
        part = alert.get(section)
        value = part.get(key) if isinstance(part, dict) else None
        return "" if value is None else text_of(value) or ""

    timestamp = alert.get("timestamp")
    day = _day(timestamp) if isinstance(timestamp, str) else ""
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
