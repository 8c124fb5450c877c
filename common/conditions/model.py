"""A condition that was read. Its text reads back as an equal condition."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from common.conditions.fields import Path
from common.conditions.patterns import Pattern, Wildcard
from common.conditions.scanner import is_plain_value
from common.conditions.values import Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIXED_BY_RULE: Final = frozenset({"rule.level", "rule.id", "rule.groups"})
"""Fields with the same value in all alerts of a rule. `rule.description` and `rule.firedtimes` are none of them."""

RESERVED: Final = frozenset({"and", "or", "not", "in"})
"""Words that are no field, in any case of letters, unless they are in double quotes."""

_PLAIN_SEGMENT: Final = re.compile(r"[\w-]+")


class Operator(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    MATCH = "~"
    NO_MATCH = "!~"
    IN = "in"


Operand = tuple[Pattern, ...] | tuple[Network, ...] | int | float | str
"""What a field is compared with: patterns of `=` and `!=`, networks of `in`, a number, or a regular expression."""


class Exists(msgspec.Struct, frozen=True):
    """Holds if the field has a value."""

    path: Path

    def __str__(self) -> str:
        return field_text(self.path)


class Comparison(msgspec.Struct, frozen=True):
    """Holds if any value of the field matches; with `!=` and `!~`, if none does."""

    path: Path
    operator: Operator
    operand: Operand

    def __str__(self) -> str:
        return f"{field_text(self.path)} {self.operator} {_operand_text(self.operand)}"


class NamedCondition(msgspec.Struct, frozen=True):
    """Holds if any of its conditions holds."""

    name: str
    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return f"@{self.name}"


class Term(msgspec.Struct, frozen=True):
    """One part of a condition between two `and`."""

    test: Exists | Comparison | NamedCondition
    negated: bool = False

    def __str__(self) -> str:
        return f"not {self.test}" if self.negated else str(self.test)


class Condition(msgspec.Struct, frozen=True):
    """Holds if all terms hold."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.terms))

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it needs, written as in a condition, with those of its named conditions."""
        return frozenset(field_text(test.path) for test in comparisons(self.terms))

    @property
    def is_fixed_by_rule(self) -> bool:
        """Whether all alerts with the same level, id and groups of the rule have the same result.

        Absent fields differ from the empty ones that `producer.filters.decode.Rule` has in their place.
        """
        return self.fields <= FIXED_BY_RULE


def comparisons(terms: Iterable[Term]) -> Iterator[Exists | Comparison]:
    """Yield all tests of fields, with those of named conditions."""
    for term in terms:
        if isinstance(term.test, NamedCondition):
            for condition in term.test.conditions:
                yield from comparisons(condition.terms)
        else:
            yield term.test


def field_text(path: Path) -> str:
    """Return a path as it is written in a condition."""
    if len(path) == 1 and path[0].lower() in RESERVED:
        return _quoted(path[0])
    return ".".join(one if _PLAIN_SEGMENT.fullmatch(one) else _quoted(one) for one in path)


def _operand_text(operand: Operand) -> str:
    if isinstance(operand, tuple):
        return ", ".join(_pattern_text(one) if isinstance(one, Pattern) else str(one) for one in operand)
    if isinstance(operand, str):
        return operand if is_plain_value(operand, in_list=False) else _quoted(operand)
    return str(operand)


def _pattern_text(pattern: Pattern) -> str:
    plain = "".join(part if isinstance(part, str) else part.value for part in pattern.parts)
    if Pattern.of(plain) == pattern and is_plain_value(plain, in_list=True):
        return plain
    return '"' + "".join(_escaped(part, r'["\\*?]') for part in pattern.parts) + '"'


def _quoted(text: str) -> str:
    return '"' + _escaped(text, r'["\\]') + '"'


def _escaped(part: str | Wildcard, characters: str) -> str:
    return part.value if isinstance(part, Wildcard) else re.sub(characters, r"\\\g<0>", part)
