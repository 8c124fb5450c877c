"""Reads the named conditions of `[conditions]`: lists of strings that others use as `@name`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.conditions.model import NamedCondition
from common.conditions.parser import NAME, Parser, unknown_name
from common.errors import ConditionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from common.conditions.model import Condition

MAX_DEPTH: Final = 10
"""Names that may use each other in a row."""


def parse_named_conditions(table: Mapping[str, Sequence[str]]) -> dict[str, NamedCondition]:
    """Read all lists of `table`, which may use each other in any order, but not in a circle.

    Raises ConditionError, which begins with `conditions.`, the name and the number of the string in the list, from 1.
    """
    reader = _Reader(table)
    return {name: reader.read(name, ()) for name in table}


class _Reader:
    """Reads each list when it is first used."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self._table = table
        self._done: dict[str, NamedCondition] = {}

    def read(self, name: str, users: tuple[str, ...]) -> NamedCondition:
        """Read a list; `users` are the names that led to it. Raises ValueError if these may not use it."""
        if name in self._done:
            return self._done[name]
        if name not in self._table:
            raise ValueError(unknown_name(name, self._table))
        trail = (*users, name)
        if name in users or len(trail) > MAX_DEPTH:
            problem = "in a circle" if name in users else f"more than {MAX_DEPTH} in a row"
            raise ValueError(f"named conditions use each other {problem}: {' → '.join(f'@{one}' for one in trail)}")
        self._done[name] = NamedCondition(name, tuple(self._conditions(trail)))
        return self._done[name]

    def _conditions(self, trail: tuple[str, ...]) -> Iterator[Condition]:
        name = trail[-1]
        texts, where = self._table[name], f"conditions.{name}"
        if not NAME.fullmatch(name):
            raise ConditionError(
                name, 1, "the name of a condition consists of the letters A to Z, digits, - and _", where
            )
        if not texts:
            raise ConditionError("", 1, "the list is empty; write a condition, or remove it", where)
        for number, text in enumerate(texts, start=1):
            yield Parser(text, lambda other: self.read(other, trail), f"{where}[{number}]").condition()
