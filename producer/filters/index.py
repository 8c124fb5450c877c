"""Matches an alert against the filters of all integrations at once.

Alerts come from rules, and a rule fixes level, id and groups. So the result of these filters is cached by rule, and
fifty integrations cost little more than one: decoding, one cache access and, only if a matching block has an
`<event_location>`, a second one by location. The caches are bounded in number and size.

Conditions (`only`, `except`) come last. Those on level, id and groups of the rule are part of the cached result. For
the others the whole alert is decoded, once for all integrations, and only if it passes the filters of one that has
such a condition.

Most alerts match nothing; if the level alone decides, `producer.filters.prefilter` rejects them at less cost.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from common.conditions import parse_named_conditions
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import FilterField, Rule, decode_alert, decode_line
from producer.filters.integration_filter import IntegrationFilter
from producer.filters.prefilter import UNDECIDED, make_prefilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from msgspec import UnsetType

    from common.integration import Integration
    from producer.filters.agents import AgentGroups
    from producer.filters.decode import FilterFields
    from producer.source import Line, Lines

CACHE_SIZE: Final = 8192
"""Entries of each cache, rules and locations: more than the manager's own ruleset has rules."""

MAX_CACHED_LINE_BYTES: Final = 4096
"""Longer lines are not cached, so that a cache uses less memory than CACHE_SIZE times this."""

NO_CONDITIONS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
"""No named conditions."""

_Candidate = tuple[IntegrationFilter, bool | None]
"""A block that passes its filters, and whether its conditions pass too; None if that depends on the alert."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class MatchResult(msgspec.Struct, frozen=True):
    """Which integrations take an alert, and which ones except it by a condition: ids, in file order."""

    ids: tuple[str, ...]
    excepted: tuple[str, ...]


class FilterIndex:
    """The filters of all integrations. `type_errors` counts values of a wrong type in matched lines, by field (D1)."""

    def __init__(
        self,
        integrations: Sequence[Integration],
        named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
        agents: AgentGroups = NO_AGENTS,
    ) -> None:
        """Prepare the filters and conditions; `named_conditions` are the lists of `[conditions]`, by name.

        `agents` has the groups of agents whose alerts carry none.

        Raises ConditionError, and ValueError if an `event_location` is too long for a pattern.
        """
        names = parse_named_conditions(named_conditions)
        self.type_errors: Counter[FilterField] = Counter()
        self._filters = tuple(IntegrationFilter(integration, names) for integration in integrations)
        self._has_conditions = not all(block.conditions.is_empty for block in self._filters)
        uses_groups = any(block.conditions.use_agent_groups for block in self._filters)
        self._decode_alert = agents.decode if agents and uses_groups else decode_alert
        self._selections: dict[tuple[tuple[_Candidate, ...], bool], _Selection] = {}
        self._by_rule: dict[Rule, _Selection] = {}
        self._by_location: dict[tuple[_Selection, str | UnsetType], _Selection] = {}
        self._prefilter = make_prefilter(self._filters)

    def prefilter(self, lines: Lines) -> tuple[int, Iterable[Line]]:
        """Return the number of lines, and the lines that need `match`: the others are alerts that match nothing.

        Only the returned lines are copied out of their block.
        """
        return lines.prefilter(self._prefilter, UNDECIDED) if self._prefilter else (len(lines), lines)

    def match(self, raw: bytes) -> tuple[str, ...]:
        """Return the ids of the matching integrations, as `evaluate` does."""
        return self.evaluate(raw).ids

    def evaluate(self, raw: bytes) -> MatchResult:
        """Match one line of the source, with or without its line end. Raises InvalidAlert if it is not an alert."""
        line = decode_line(raw)
        if line.type_errors:
            self.type_errors.update(line.type_errors)
        if self._has_conditions and not line.is_exact:
            return self._evaluate_inexact(line, raw)
        remember = len(raw) <= MAX_CACHED_LINE_BYTES
        selection = self._by_rule.get(line.rule) or self._select(line.rule, remember=remember)
        if selection.needs_location:
            key = (selection, line.location)
            selection = self._by_location.get(key) or self._select_location(*key, remember=remember)
        return selection.result or _decide(selection.candidates, raw, self._decode_alert)

    def _evaluate_inexact(self, line: FilterFields, raw: bytes) -> MatchResult:
        """Match a line whose rule is not exact: without a cache, since conditions see the alert and not the rule."""
        blocks = [block for block in self._filters if block.passes_rule(line.rule)]
        passing = [block for block in blocks if block.passes_location(line.location)]
        return _decide([(block, block.conditions.is_empty or None) for block in passing], raw, self._decode_alert)

    def _select(self, rule: Rule, *, remember: bool) -> _Selection:
        blocks = [block for block in self._filters if block.passes_rule(rule)]
        selection = self._selection(tuple((block, block.conditions.pass_rule(rule)) for block in blocks))
        if remember:
            _cache(self._by_rule, rule, selection)
        return selection

    def _select_location(self, selection: _Selection, location: str | UnsetType, *, remember: bool) -> _Selection:
        passing = tuple(one for one in selection.candidates if one[0].passes_location(location))
        located = self._selection(passing, is_located=True)
        if remember:
            _cache(self._by_location, (selection, location), located)
        return located

    def _selection(self, candidates: tuple[_Candidate, ...], *, is_located: bool = False) -> _Selection:
        """Return the one selection of these candidates, so that many rules share it."""
        key = (candidates, is_located)
        if key not in self._selections:
            _cache(self._selections, key, _Selection(candidates, is_located=is_located))
        return self._selections[key]


class _Selection:
    """The blocks whose filters by rule pass, or these and those by location.

    `result` is None if the location or the whole alert is needed too.
    """

    __slots__ = ("candidates", "needs_location", "result")

    def __init__(self, candidates: tuple[_Candidate, ...], *, is_located: bool) -> None:
        self.candidates = candidates
        self.needs_location = not is_located and any(FilterField.LOCATION in one.used_fields for one, _ in candidates)
        settled = not self.needs_location and all(passes is not None for _, passes in candidates)
        self.result = _result(candidates) if settled else None


def _decide(candidates: Iterable[_Candidate], raw: bytes, decode: Callable[[bytes], dict[str, Any]]) -> MatchResult:
    """Evaluate the open conditions. The alert is decoded once for all of them, and only if there are any."""
    decided: list[_Candidate] = []
    alert: dict[str, Any] | None = None
    for block, passes in candidates:
        if passes is None:
            alert = decode(raw) if alert is None else alert
            decided.append((block, block.conditions.pass_alert(alert)))
        else:
            decided.append((block, passes))
    return _result(decided)


def _result(candidates: Iterable[_Candidate]) -> MatchResult:
    return MatchResult(
        tuple(block.id for block, passes in candidates if passes),
        tuple(block.id for block, passes in candidates if not passes),
    )


def _cache(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Cache a result; a full cache is emptied, which is simpler than to evict single entries and as cheap."""
    if len(memory) >= CACHE_SIZE:
        memory.clear()
    memory[key] = value
