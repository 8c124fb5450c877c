"""The filters of one integration, exactly as the stock Integrator reads them (spec 3.2), and its conditions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from common.conditions import NO_NAMES
from producer.filters.conditions import AlertConditions
from producer.filters.decode import FilterField
from producer.filters.sregex import compile_sregex

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from common.conditions import NamedCondition
    from common.integration import Integration
    from producer.filters.decode import FilterFields, Rule

_LONG_MIN: Final = -(2**63)
_LONG_MAX: Final = 2**63 - 1
_UNSIGNED: Final = 2**32 - 1
_LEADING_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,20})")


class IntegrationFilter:
    """The prepared filters of one integration. All configured filters must pass, and then its conditions."""

    def __init__(self, integration: Integration, names: Mapping[str, NamedCondition] = NO_NAMES) -> None:
        """Prepare the filters and conditions, which can use those of `names`.

        Raises ConditionError, and ValueError if `event_location` is too long for a pattern.
        """
        pattern, groups, rule_ids = integration.event_location, integration.group, integration.rule_ids
        self.id = integration.id
        self.level = integration.level & _UNSIGNED
        self._groups = None if groups is None else _group_items(groups)
        self._rule_ids = None if rule_ids is None else _rule_numbers(rule_ids)
        self.conditions = AlertConditions(integration, names)
        self._matches = None if pattern is None else compile_sregex(_as_bytes(pattern))

    @property
    def used_fields(self) -> frozenset[FilterField]:
        """The fields that the configured filters use."""
        configured = {
            FilterField.LEVEL: self.level > 0,
            FilterField.GROUPS: self._groups is not None,
            FilterField.RULE_ID: self._rule_ids is not None,
            FilterField.LOCATION: self._matches is not None,
        }
        return frozenset(field for field, is_configured in configured.items() if is_configured)

    def passes_rule(self, rule: Rule) -> bool:
        """Say whether `level`, `group` and `rule_id` pass."""
        return self._passes_level(rule) and self._passes_group(rule) and self._passes_rule_id(rule)

    def verdicts(self, fields: FilterFields) -> dict[FilterField, bool]:
        """Return whether each configured filter passes, by the tests of `passes_rule` and `passes_location`."""
        tests = {
            FilterField.LEVEL: self._passes_level(fields.rule),
            FilterField.RULE_ID: self._passes_rule_id(fields.rule),
            FilterField.GROUPS: self._passes_group(fields.rule),
            FilterField.LOCATION: self.passes_location(fields.location),
        }
        used = self.used_fields
        return {field: passes for field, passes in tests.items() if field in used}

    def _passes_level(self, rule: Rule) -> bool:
        return rule.level >= self.level

    def _passes_group(self, rule: Rule) -> bool:
        return self._groups is None or any(_until_nul(group) in self._groups for group in rule.groups)

    def _passes_rule_id(self, rule: Rule) -> bool:
        return self._rule_ids is None or _rule_number(rule.id) in self._rule_ids

    def passes_location(self, location: str | UnsetType) -> bool:
        """Say whether `event_location` passes; without a location not even `!x` does."""
        if self._matches is None:
            return True
        return location is not UNSET and self._matches(_as_bytes(_until_nul(location)))


def _group_items(text: str) -> frozenset[str]:
    """Return the items of a `group` setting, whole and untrimmed; an ending comma adds none."""
    items = text.split(",")
    return frozenset(items if items[-1] else items[:-1])


def _rule_numbers(ids: Iterable[int]) -> frozenset[int]:
    """Return the numbers of a `rule_id` setting as 32-bit numbers; 0 does not count (spec 1.5)."""
    return frozenset(number & _UNSIGNED for number in ids) - {0}


def _rule_number(text: str) -> int:
    """Return the number at the start of a rule's id, as C's atoi reads it into 32 bits; 0 without a number."""
    number = _LEADING_NUMBER.match(text)
    if not number:
        return 0
    return min(max(int(number[1] + number[2]), _LONG_MIN), _LONG_MAX) & _UNSIGNED


def _until_nul(text: str) -> str:
    """Return `text` up to its first NUL, where the stock Integrator's strings end (spec 2.4)."""
    return text.partition("\0")[0]


def _as_bytes(text: str) -> bytes:
    """Return the bytes that `text` was read from, also those that were not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate, written as an escape
        return text.encode("utf-8", "surrogatepass")
