"""Matches an alert against the filters of all integrations at once.

Alerts come from rules, and a rule fixes level, id and groups. So the result of these filters is cached by rule, and
fifty integrations cost little more than one: decoding, one cache access and, only if a matching block has an
`<event_location>`, a second one by location. The caches are bounded in number and size.
Most alerts match nothing; if the level alone decides, `producer.filters.prefilter` rejects them at less cost.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

from producer.filters.decode import FilterField, Rule, decode_line
from producer.filters.integration_filter import IntegrationFilter
from producer.filters.prefilter import UNDECIDED, make_prefilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from msgspec import UnsetType

    from common.integration import Integration
    from producer.filters.decode import FilterFields
    from producer.source import Line, Lines

CACHE_SIZE: Final = 8192
"""Entries of each cache, rules and locations: more than the manager's own ruleset has rules."""

MAX_CACHED_LINE_BYTES: Final = 4096
"""Longer lines are not cached, so that a cache uses less memory than CACHE_SIZE times this."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FilterIndex:
    """The filters of all integrations. `type_errors` counts values of a wrong type in matched lines, by field (D1)."""

    def __init__(self, integrations: Sequence[Integration]) -> None:
        """Prepare the filters. Raises ValueError if an `event_location` is too long for a pattern."""
        self.type_errors: Counter[FilterField] = Counter()
        self._filters = tuple(IntegrationFilter(integration) for integration in integrations)
        self._selections: dict[tuple[IntegrationFilter, ...], _RuleMatches] = {}
        self._by_rule: dict[Rule, _RuleMatches] = {}
        self._by_location: dict[tuple[_RuleMatches, str | UnsetType], tuple[str, ...]] = {}
        self._prefilter = make_prefilter(self._filters)

    def prefilter(self, lines: Lines) -> tuple[int, Iterable[Line]]:
        """Return the number of lines, and the lines that need `match`: the others are alerts that match nothing.

        Only the returned lines are copied out of their block.
        """
        return lines.prefilter(self._prefilter, UNDECIDED) if self._prefilter else (len(lines), lines)

    def match(self, raw: bytes) -> tuple[str, ...]:
        """Return the ids of the matching integrations, in file order.

        `raw` is one line of the source, with or without its line end. Raises InvalidAlert if it is not an alert.
        """
        line = decode_line(raw)
        if line.type_errors:
            self.type_errors.update(line.type_errors)
        return self._match(line, remember=len(raw) <= MAX_CACHED_LINE_BYTES)

    def _match(self, line: FilterFields, *, remember: bool) -> tuple[str, ...]:
        selection = self._by_rule.get(line.rule) or self._select(line.rule, remember=remember)
        if selection.ids is not None:
            return selection.ids
        ids = self._by_location.get((selection, line.location))
        return self._match_location(selection, line, remember=remember) if ids is None else ids

    def _select(self, rule: Rule, *, remember: bool) -> _RuleMatches:
        blocks = tuple(block for block in self._filters if block.passes_rule(rule))
        selection = self._selections.get(blocks)
        if selection is None:
            selection = _RuleMatches(blocks)
            _cache(self._selections, blocks, selection)
        if remember:
            _cache(self._by_rule, rule, selection)
        return selection

    def _match_location(self, selection: _RuleMatches, line: FilterFields, *, remember: bool) -> tuple[str, ...]:
        ids = tuple(block.id for block in selection.blocks if block.passes_location(line.location))
        if remember:
            _cache(self._by_location, (selection, line.location), ids)
        return ids


class _RuleMatches:
    """The blocks whose rule filters pass. `ids` holds their ids, or None if the location must be checked too."""

    __slots__ = ("blocks", "ids")

    def __init__(self, filters: tuple[IntegrationFilter, ...]) -> None:
        self.blocks = filters
        settled = not any(FilterField.LOCATION in block.used_fields for block in filters)
        self.ids = tuple(block.id for block in filters) if settled else None


def _cache(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Cache a result; a full cache is emptied, which is simpler than to evict single entries and as cheap."""
    if len(memory) >= CACHE_SIZE:
        memory.clear()
    memory[key] = value
