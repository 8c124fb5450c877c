"""Reads and writes JSON without changing a number: `0.30000000000000004`, `1.10` and `1e400` keep their text (D4).

Python's own reader converts fractions to doubles, which rounds them, and refuses integers of more than 4300 digits.
The writer formats as `json.dumps` does: `, ` and `: ` as separators, and escapes for characters outside ASCII.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from common.json_depth import check_depth

LONGEST_INT: Final = 1000
"""An integer of at most this many digits becomes an `int`; Python refuses more than 4300."""


class RawNumber:
    """A number that keeps its original text. `float()` returns its value."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __float__(self) -> float:
        return float(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawNumber) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return self.text


class _SlowPathNeeded(Exception):  # noqa: N818 — a signal inside this module
    """Leaves the fast writer when it reaches a RawNumber."""


def read_json(text: str, *, strict: bool = True) -> Any:
    """Return the value of a JSON text; unless `strict`, strings may contain raw control characters.

    Raises ValueError if the text is not JSON, contains NaN or Infinity, or is nested too deeply. The error does not
    quote the text.
    """
    check_depth(text)
    return (_strict if strict else _lenient).decode(text)


def write_json(value: Any) -> str:
    """Return a value as JSON. Raises ValueError for NaN, Infinity, an unknown type or nesting that is too deep."""
    try:
        text = _written(value)
    except RecursionError:  # the recursion limit comes before the limit of check_depth
        raise ValueError("it is nested too deeply") from None
    check_depth(text)
    return text


def as_number(value: object) -> float | None:
    """Return the value of a JSON number, with true and false as 1 and 0 as in Python; None for anything else."""
    if isinstance(value, int):
        return value
    return float(value) if isinstance(value, float | RawNumber) else None


def _integer(text: str) -> int | RawNumber:
    return int(text) if len(text) <= LONGEST_INT else RawNumber(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_strict, _lenient = (
    json.JSONDecoder(strict=strict, parse_float=RawNumber, parse_int=_integer, parse_constant=_no_constant)
    for strict in (True, False)
)


def _not_plain(value: object) -> NoReturn:
    if isinstance(value, RawNumber):
        raise _SlowPathNeeded
    raise ValueError("it contains a value that JSON cannot represent")


def _written(value: Any) -> str:
    try:
        return json.dumps(value, default=_not_plain, allow_nan=False)
    except _SlowPathNeeded:
        return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, RawNumber):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join([f"{json.dumps(str(key))}: {_text(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_text(item) for item in value]) + "]"
    return json.dumps(value, default=_not_plain, allow_nan=False)
