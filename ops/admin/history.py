"""Select, count and show entries of the history.

A condition sees an entry as an alert, with the fields of the alert that the entry has, and what became of it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from common.conditions import compile_condition, parse_condition
from common.digest import count_in
from common.errors import CourierError
from common.ledger import HistoryEntry, HistoryOutcome, UnreadableEntry
from ops.admin.terminal import age, pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from common.ledger import Ledger

FIELDS: Final = (
    "id",
    "rule.id",
    "rule.level",
    "rule.description",
    "agent.id",
    "agent.name",
    "outcome",
    "reason",
    "attempts",
    "worker",
)
"""The fields that a condition can use."""

ENDS: Final = (HistoryOutcome.DELIVERED, HistoryOutcome.SKIPPED, HistoryOutcome.DEAD)
"""The outcomes that `count_by` counts: what happens to a dead letter later would count its delivery twice."""


class Selection(NamedTuple):
    """Conditions for an entry; an empty one matches every entry. `alert` is the id of an alert or of a delivery.

    `rule` tests the id of a rule, `agent` the id and the name of an agent.
    """

    outcomes: frozenset[str] = frozenset()
    alert: str = ""
    rule: Callable[[str], bool] | None = None
    agent: Callable[[str], bool] | None = None
    condition: Callable[[dict[str, Any]], bool] | None = None

    def includes(self, entry: HistoryEntry) -> bool:
        """Return whether the entry meets all conditions."""
        return (
            (not self.outcomes or entry.outcome in self.outcomes)
            and (not self.alert or entry.is_about(self.alert))
            and (self.rule is None or self.rule(entry.facts.rule_id))
            and (self.agent is None or self.agent(entry.facts.agent_id) or self.agent(entry.facts.agent_name))
            and (self.condition is None or self.condition(as_alert(entry)))
        )


class Unreadable:
    """Counts the entries that cannot be read, by integration."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._problems: dict[str, str] = {}

    def readable(self, entries: Iterable[HistoryEntry | UnreadableEntry]) -> Iterator[HistoryEntry]:
        """Yield the entries that can be read, and count the others."""
        for entry in entries:
            if isinstance(entry, HistoryEntry):
                yield entry
            else:
                self._counts[entry.integration] += 1
                self._problems[entry.integration] = "" if entry.position else entry.problem

    def notes(self) -> list[tuple[str, str]]:
        """Return a note for each integration with unreadable entries, and forget them."""
        counts = self._counts
        self._counts = Counter()
        malformed = "not shown: another program wrote to the history"
        return [
            (one, self._problems[one] or f"{pluralize(count, 'malformed entry')} {malformed}")
            for one, count in counts.items()
        ]


def matcher(text: str, *, where: str = "--match") -> Callable[[dict[str, Any]], bool]:
    """Return the function of a condition. Raises CourierError if it cannot be read or uses a field that is not kept.

    `where` names the option or the field of a form.
    """
    condition = parse_condition(text, where=where)
    if unknown := sorted(condition.fields - frozenset(FIELDS)):
        raise CourierError(f"{where}: the history has no field {unknown[0]}; it has {', '.join(FIELDS)}")
    return compile_condition(condition)


def find(
    ledger: Ledger,
    integration_ids: Collection[str],
    wanted: Selection,
    unreadable: Unreadable,
    *,
    since_ms: int,
    last: int | None,
) -> Iterator[HistoryEntry]:
    """Yield the entries that match since a time, the oldest first; with `last`, only that many of the newest."""
    found = ledger.history(integration_ids, since_ms=since_ms, newest_first=last is not None)
    matching = filter(wanted.includes, unreadable.readable(found))
    return matching if last is None else reversed([*islice(matching, last)])


def as_alert(entry: HistoryEntry) -> dict[str, Any]:
    """Return an entry as a condition sees it, with the keys of FIELDS. A field that the alert lacks is missing."""
    facts = entry.facts
    rule = {"id": facts.rule_id, "level": facts.rule_level, "description": facts.rule_description}
    agent = {"id": facts.agent_id, "name": facts.agent_name}
    return {
        "id": facts.alert_id or None,
        "rule": {key: value for key, value in rule.items() if value != ""},
        "agent": {key: value for key, value in agent.items() if value != ""},
        "outcome": entry.outcome,
        "reason": entry.reason or None,
        "attempts": facts.attempts,
        "worker": facts.worker or None,
    }


def entry_json(entry: HistoryEntry) -> dict[str, Any]:
    """Return the JSON form of an entry. Times are in ms since the epoch; null if there is none.

    `count` is the number of alerts in a digest, null for other deliveries.
    """
    facts = entry.facts
    return {
        "integration": entry.integration,
        "delivery": entry.delivery,
        "alert_id": facts.alert_id,
        "rule": {"id": facts.rule_id, "level": facts.rule_level, "description": facts.rule_description},
        "agent": {"id": facts.agent_id, "name": facts.agent_name},
        "count": count_in(entry.delivery, facts.rule_description),
        "outcome": entry.outcome,
        "reason": entry.reason,
        "attempts": facts.attempts,
        "committed_ms": facts.committed_ms or None,
        "first_attempt_ms": facts.first_attempt_ms or None,
        "ended_ms": entry.ended_ms,
        "attempt_ms": facts.attempt_ms,
        "worker": facts.worker,
    }


def describe(entry: HistoryEntry) -> str:
    """Return an entry on one line, for `--follow` at a terminal."""
    facts = entry.facts
    outcome = f"{entry.outcome}: {entry.reason}" if entry.reason else entry.outcome
    parts = (
        local_time(entry.ended_ms)[11:],
        entry.integration,
        outcome,
        pluralize(facts.attempts, "attempt") if facts.attempts > 1 else "",
        f"after {age(entry.latency_ms / 1000)}" if facts.committed_ms else "",
        f"alert {facts.alert_id}" if facts.alert_id else entry.delivery,
        f"level {facts.rule_level}" if facts.rule_level is not None else "",
        f"{facts.rule_id} {facts.rule_description}".strip(),
        f"{facts.agent_id} {facts.agent_name}".strip(),
    )
    return "  ".join(filter(None, parts))


def local_time(ms: int) -> str:
    """Return a time as `2026-01-31 08:00:00`, in local time; '' if the year is beyond what Python knows."""
    try:
        return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return ""


class Top(StrEnum):
    """What `courier history --top` counts by."""

    RULES = "rules"
    AGENTS = "agents"
    REASONS = "reasons"


class Group(NamedTuple):
    """Entries of one rule, agent or reason: its id and name, and the number of entries by outcome."""

    id: str
    name: str
    outcomes: Counter[str]

    @property
    def total(self) -> int:
        """The number of entries."""
        return self.outcomes.total()


def count_by(top: Top, entries: Iterable[HistoryEntry]) -> list[Group]:
    """Return the groups of these entries, the largest first. An entry without the field is in none."""
    groups: dict[str, Group] = {}
    for entry in entries:
        key, name = _key(top, entry)
        if key and entry.outcome in ENDS:
            groups.setdefault(key, Group(key, name, Counter())).outcomes[entry.outcome] += 1
    return sorted(groups.values(), key=lambda one: (-one.total, one.id))


def group_json(group: Group) -> dict[str, Any]:
    """Return the JSON form of a group."""
    return {"id": group.id, "name": group.name, "count": group.total, **{one: group.outcomes[one] for one in ENDS}}


def _key(top: Top, entry: HistoryEntry) -> tuple[str, str]:
    facts = entry.facts
    match top:
        case Top.RULES:
            return facts.rule_id, facts.rule_description
        case Top.AGENTS:
            return facts.agent_id or facts.agent_name, facts.agent_name
        case Top.REASONS:
            return entry.reason, entry.outcome
