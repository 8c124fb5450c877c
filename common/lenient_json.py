"""A JSON parser as lenient as that of the stock Integrator, for the rare line that the fast decoder rejects.

An alert must not be lost because a program logged a byte that is not UTF-8. So beyond strict JSON this parser accepts
(spec 2.4) such bytes, raw control characters in strings and between tokens, a byte order mark, the numbers that C's
strtod accepts (`007`, `7.`, `-.5`), and any bytes after a NUL byte that follows the value. Unlike the stock parser it
also accepts lone surrogates and NUL bytes elsewhere. NaN and Infinity are invalid.

It returns only the outer levels, because filters need no others, and checks the rest without recursion.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from common.json_depth import MAX_DEPTH, check_depth

if TYPE_CHECKING:
    from collections.abc import Collection

BOM: Final = b"\xef\xbb\xbf"
ELIDED: Final = object()
"""Replaces an array or object below the levels that the caller wants."""

_BLANK: Final = re.compile(r"[\x00-\x20]*")
_END: Final = re.compile(r"[\x01-\x20]*(?:\x00|\Z)")
_NUMBER: Final = re.compile(r"(?:-?[0-9]+\.?[0-9]*|-\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER: Final = re.compile(r"-?[0-9]{1,300}")
_LITERAL: Final = re.compile(r"true|false|null")
_LITERALS: Final = {"true": True, "false": False, "null": None}
_CLOSERS: Final = {"{": "}", "[": "]"}
_STRINGS: Final = json.JSONDecoder(strict=False)

_B: Final = r"[\x00-\x20]*+"
_TEXT: Final = r'"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'


_SCALAR: Final = rf"(?:{_TEXT}|{_NUMBER.pattern}|{_LITERAL.pattern})"
_MEMBER: Final = rf"{_TEXT}{_B}:{_B}{_SCALAR}"
_VALUE: Final = (
    rf"(?:{_SCALAR}|\[{_B}(?:{_SCALAR}(?:{_B},{_B}{_SCALAR})*+)?+{_B}\]"
    rf"|\{{{_B}(?:{_MEMBER}(?:{_B},{_B}{_MEMBER})*+)?+{_B}\}})"
)
_RUN: Final = {
    "]": re.compile(rf"(?:{_B}{_VALUE}{_B},)*+"),
    "}": re.compile(rf"(?:{_B}{_VALUE}{_B},{_B}{_TEXT}{_B}:)*+"),
}
"""By closing bracket of a container: matches its next values that are scalars or hold only scalars, but not the last.

Without it, 10 MB of `007,` took 5 s token by token, and any author of an alert can write such a line.
"""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


_STRICTLY: Final[Any] = json.JSONDecoder(strict=False, parse_constant=_no_constant)


def parse(raw: bytes, *, levels: int, keys: Collection[str] | None = None) -> object:
    """Return the JSON value of `raw`: the outer `levels` of its arrays and objects, with ELIDED for the deeper ones.

    With `keys`, only these members of the outer object get more than one level, which makes the others cheap.
    Bytes that are not UTF-8 become lone surrogates (`surrogateescape`). For duplicate keys the last one wins (D3).
    Raises ValueError for invalid JSON and for more than MAX_DEPTH levels; its text gives the position, no content.
    """
    check_depth(raw)
    reader = _Parser(raw.removeprefix(BOM).decode("utf-8", "surrogateescape"))
    value = reader.value(levels, keys)
    reader.end()
    return value


def parse_whole(raw: bytes) -> object:
    """Return the whole JSON value of `raw`, otherwise as `parse` does. Much faster unless only this parser accepts it.

    An integer of 301 to 4,300 digits can be an int instead of an infinite float.
    """
    check_depth(raw)
    reader = _Parser(raw.removeprefix(BOM).decode("utf-8", "surrogateescape"))
    value = reader.whole_value()
    reader.end()
    return value


def value_offsets(text: str, at: int = 0) -> tuple[dict[str, int], int]:
    """Return the offsets of the values of the object at `at`, by key (D3), and the offset of its closing brace.

    `text` is decoded as in `parse`, without a byte order mark. Raises ValueError as `parse` does, and if the value is
    not an object. Ignores the text after the object.
    """
    check_depth(text)
    return _Parser(text, at).value_offsets()


class _Parser:
    """Parses one text, token by token. `_at` is the offset of the next character."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text, self._at = text, at

    def value(self, levels: int, keys: Collection[str] | None = None) -> object:
        """Read a value. Containers deeper than `levels`, or not under `keys`, are checked and replaced by ELIDED."""
        opener = self._peek()
        if opener not in _CLOSERS:
            return self._scalar()
        if not levels:
            self._skip()
            return ELIDED
        self._expect(opener)
        return self._members(levels - 1, keys) if opener == "{" else self._items(levels - 1)

    def whole_value(self) -> object:
        """Read a value with all of its levels."""
        if self._peek() in _CLOSERS:
            with suppress(ValueError, RecursionError):  # as in _skip
                value, self._at = _STRICTLY.raw_decode(self._text, self._at)
                return value
        return self.value(MAX_DEPTH)

    def value_offsets(self) -> tuple[dict[str, int], int]:
        """Read an object; return the offsets of its values and of its closing brace."""
        found: dict[str, int] = {}
        self._expect("{")
        while self._peek() != "}" or found:
            key = self._key()
            self._blank()
            found[key] = self._at
            self._skip()
            if not self._take(","):
                break
        self._expect("}")
        return found, self._at - 1

    def end(self) -> None:
        """Check that only whitespace follows, or a NUL byte, after which the stock parser ignores everything."""
        if not _END.match(self._text, self._at):
            raise self._error("there is more text after the value")

    def _members(self, levels: int, keys: Collection[str] | None) -> dict[str, object]:
        members: dict[str, object] = {}
        if self._take("}"):
            return members
        while True:
            key = self._key()
            members[key] = self.value(levels if keys is None or key in keys else 0)
            if not self._take(","):
                self._expect("}")
                return members

    def _items(self, levels: int) -> list[object]:
        items: list[object] = []
        if self._take("]"):
            return items
        while True:
            items.append(self.value(levels))
            if not self._take(","):
                self._expect("]")
                return items

    def _skip(self) -> None:
        """Check one value of any depth without keeping it.

        The decoder of the standard library is ten times as fast, but fails on values that only this parser accepts.
        """
        if self._peek() not in _CLOSERS:
            self._scalar()  # of 007 the library would read only the 0
            return
        try:
            _, self._at = _STRICTLY.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):  # another library may have lowered the recursion limit
            self._skip_leniently()

    def _skip_leniently(self) -> None:
        open_until: list[str] = []
        while True:
            if open_until and (run := _RUN[open_until[-1]].match(self._text, self._at)):
                self._at = run.end()
            opener = self._peek()
            if opener in _CLOSERS:
                self._expect(opener)
                if not self._take(_CLOSERS[opener]):
                    open_until.append(_CLOSERS[opener])
                    self._key_if_object(open_until)
                    continue
            else:
                self._scalar()
            if not self._next(open_until):
                return

    def _next(self, open_until: list[str]) -> bool:
        """Close the containers that end here. Return whether another value follows."""
        while open_until:
            if self._take(","):
                self._key_if_object(open_until)
                return True
            self._expect(open_until.pop())
        return False

    def _key_if_object(self, open_until: list[str]) -> None:
        if open_until[-1] == "}":
            self._key()

    def _key(self) -> str:
        if self._peek() != '"':
            raise self._error("a key is missing")
        key = self._string()
        self._expect(":")
        return key

    def _scalar(self) -> object:
        if self._peek() == '"':
            return self._string()
        if literal := _LITERAL.match(self._text, self._at):
            self._at = literal.end()
            return _LITERALS[literal[0]]
        number = _NUMBER.match(self._text, self._at)
        if not number:
            raise self._error("a value is missing")
        self._at = number.end()
        return int(number[0]) if _INTEGER.fullmatch(number[0]) else float(number[0])

    def _string(self) -> str:
        value, self._at = _STRINGS.raw_decode(self._text, self._at)
        return str(value)

    def _peek(self) -> str:
        """Return the next character that is not whitespace, or an empty text at the end."""
        self._blank()
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        """Consume `token` and return True if it comes next."""
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"{token!r} is missing")

    def _blank(self) -> None:
        if blank := _BLANK.match(self._text, self._at):
            self._at = blank.end()

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"{problem} at character {self._at}")
