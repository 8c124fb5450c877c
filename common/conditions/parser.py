"""Reads a condition. The text of the package has the grammar."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from common.conditions.model import (
    RESERVED,
    Comparison,
    Condition,
    Exists,
    NamedCondition,
    Operator,
    Term,
    comparisons,
)
from common.conditions.operands import read_operand
from common.conditions.scanner import AND, BLANKS, JOIN_HINTS, NO_OR, Scanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from common.conditions.fields import Path

MAX_CHARS: Final = 16_384
"""Characters of one condition."""

MAX_COMPARISONS: Final = 1_000
"""Comparisons of one condition, with those of its named conditions."""

NO_NAMES: Final[Mapping[str, NamedCondition]] = MappingProxyType({})

NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
"""What a named condition can be called."""

_NOT: Final = re.compile(r"not(?!\S)")
_NAMED: Final = re.compile(r"@[A-Za-z0-9_-]*")
_SEGMENT: Final = re.compile(r"[\w-]+")
_OPERATOR: Final = re.compile(r"[=!<>~:&|^]+|\w+")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HINTS: Final = {
    **JOIN_HINTS,
    **dict.fromkeys(("==", ":", "is", "eq", "equals"), 'write "="'),
    **dict.fromkeys(("<>", "=!", "ne"), 'write "!="'),
    **dict.fromkeys(("=~", "~=", "like", "matches", "regex"), 'write "~"'),
    **dict.fromkeys(("=<", "lte"), 'write "<="'),
    **dict.fromkeys(("=>", "gte"), 'write ">="'),
    "contains": 'write "= *text*"',
    "exists": "write the field alone",
    **dict.fromkeys(("not", "!"), 'write "not" in front of the field'),
}
"""What to write instead of an operator of other languages, in lower case."""

_MISPLACED: Final = {
    "and": 'write "and" in lower case, between two conditions',
    "not": 'write "not" in lower case, and once',
    "or": f'there is no "or"; {NO_OR}',
    "in": "a field of this name needs double quotes",
}


def parse_condition(text: str, *, names: Mapping[str, NamedCondition] = NO_NAMES, where: str = "") -> Condition:
    """Read a condition, which may use the conditions of `names`.

    Raises ConditionError, which begins with `where`: the file and the key, such as `courier.toml: only[1]`.
    """

    def find(name: str) -> NamedCondition:
        if name not in names:
            raise ValueError(unknown_name(name, names))
        return names[name]

    return Parser(text, find, where).condition()


def unknown_name(name: str, names: Iterable[str]) -> str:
    """Return the problem with a name that is none of `names`."""
    known = sorted(names)
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean @{close[0]}?" if close else f"known are {', '.join(known) or 'none'}"
    return f"there is no named condition @{name}; {hint}"


class Parser:
    """Reads one text. `find` returns the condition of a name, or raises ValueError."""

    def __init__(self, text: str, find: Callable[[str], NamedCondition], where: str = "") -> None:
        self._scanner, self._find = Scanner(text, where), find

    def condition(self) -> Condition:
        """Read the whole text. Raises ConditionError."""
        scanner = self._scanner
        if len(scanner.text) > MAX_CHARS:
            raise scanner.error(f"it has {len(scanner.text)} characters, at most {MAX_CHARS} are allowed", MAX_CHARS)
        if surrogate := _SURROGATE.search(scanner.text):
            raise scanner.error("half of a surrogate pair is no character", surrogate.start())
        if scanner.at_end():
            raise scanner.error("the condition is empty", 0)
        terms = [self._term()]
        while scanner.take(AND):
            terms.append(self._term())
        if not scanner.at_end():
            raise scanner.error(f'{scanner.text[scanner.at]!r} is where "and" or the end should be')
        if sum(1 for _ in islice(comparisons(terms), MAX_COMPARISONS + 1)) > MAX_COMPARISONS:
            raise scanner.error(f"it has more than {MAX_COMPARISONS} comparisons, with those of its names", 0)
        return Condition(tuple(terms))

    def _term(self) -> Term:
        scanner = self._scanner
        negated = scanner.take(_NOT) != ""
        if scanner.is_next(_NAMED):
            return Term(self._named(), negated)
        path = self._path()
        if scanner.at_end() or scanner.is_next(AND):
            return Term(Exists(path), negated)
        operator = self._operator()
        return Term(Comparison(path, operator, read_operand(scanner, operator)), negated)

    def _named(self) -> NamedCondition:
        scanner, start = self._scanner, self._scanner.at
        name = scanner.take(_NAMED)[1:]
        if not name:
            raise scanner.error('a name is missing after "@"; a field that begins with "@" needs double quotes', start)
        try:
            return self._find(name)
        except ValueError as error:
            raise scanner.error(str(error), start) from None

    def _path(self) -> Path:
        scanner = self._scanner
        start, segments = scanner.at, [self._segment()]
        while scanner.text.startswith(".", scanner.at):
            scanner.at += 1
            segments.append(self._segment())
        word = scanner.text[start : scanner.at].lower()
        if word in RESERVED:
            raise scanner.error(f"a field is missing here; {_MISPLACED[word]}", start)
        scanner.take(BLANKS)
        return tuple(segments)

    def _segment(self) -> str:
        scanner = self._scanner
        if scanner.text.startswith('"', scanner.at):
            return scanner.quoted_text()
        found = _SEGMENT.match(scanner.text, scanner.at)
        if not found:
            raise scanner.error(self._no_segment())
        scanner.at = found.end()
        return found[0]

    def _no_segment(self) -> str:
        scanner = self._scanner
        if scanner.at_end():
            return "a field is missing at the end"
        one = scanner.text[scanner.at]
        if one in "()":
            return 'there are no brackets; write "not" in front of each comparison, and "and" between them'
        if one == ".":
            return 'a name is missing before "."'
        if _OPERATOR.match(scanner.text, scanner.at) or one.isspace():
            return "a field is missing here"
        return f"{one!r} cannot be a part of a field, except in double quotes"

    def _operator(self) -> Operator:
        scanner, start = self._scanner, self._scanner.at
        found = scanner.take(_OPERATOR)
        if not found:
            raise scanner.error(f"{scanner.text[start]!r} is where an operator should be")
        try:
            return Operator(found)
        except ValueError:
            hint = _HINTS.get(found.lower(), f"operators are {' '.join(Operator)}")
            raise scanner.error(f'there is no operator "{found}"; {hint}', start) from None
