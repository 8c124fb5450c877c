"""A JSON reader as forgiving as the stock Integrator's, for the rare line that the fast decoder refuses.

An alert must not be lost because some program logged a byte that is not UTF-8. So, beyond strict JSON, this reader
takes (spec 2.4) such bytes, raw control characters in strings and between tokens, a byte order mark, the numbers
that C's strtod takes (`007`, `7.`, `-.5`), and whatever follows a NUL byte after the value. More forgiving still,
it takes lone surrogates and NUL bytes elsewhere. NaN and Infinity stay invalid.

It keeps only the outer levels, since filters look no deeper, and checks the rest without recursion.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from common.json_depth import check_depth

if TYPE_CHECKING:
    from collections.abc import Collection

BOM: Final = b"\xef\xbb\xbf"
ELIDED: Final = object()
"""Stands where an array or object lay too deep to be kept."""

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
"""By what closes a container: its next values that are scalars, or hold nothing but scalars; the last one is left over.

Token by token 10 MB of `007,` took 5 s, and a line like that can be written by whoever writes an alert.
"""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICTLY: Final[Any] = json.JSONDecoder(strict=False, parse_constant=_no_constant)


def parse(raw: bytes, *, levels: int, keys: Collection[str] | None = None) -> object:
    """Return the one JSON value of `raw`, of its arrays and objects only the outer `levels`, the rest SKIPPED.

    With `keys` only these members of the outer object have more than one level: the others cost little.
    Bytes that are not UTF-8 become lone surrogates (`surrogateescape`). Of equal keys the last wins (D3).
    Raises ValueError, whose text says where and nothing of the content, also if it nests more than DEEPEST levels.
    """
    check_depth(raw)
    reader = _Parser(raw.removeprefix(BOM).decode("utf-8", "surrogateescape"))
    value = reader.value(levels, keys)
    reader.end()
    return value


def value_offsets(text: str, at: int = 0) -> tuple[dict[str, int], int]:
    """Return where the values of the object at `at` begin, by key (D3), and where its closing brace stands.

    `text` is what `read` makes of bytes, without a byte order mark. Raises ValueError as `read` does, also if it is no
    object; what follows it is not looked at.
    """
    check_depth(text)
    return _Parser(text, at).value_offsets()


class _Parser:
    """Goes through one text, token by token."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text, self._at = text, at

    def value(self, levels: int, keys: Collection[str] | None = None) -> object:
        """Read a value; containers below `levels` levels, and not under `keys`, are checked and SKIPPED."""
        opener = self._peek()
        if opener not in _CLOSERS:
            return self._scalar()
        if not levels:
            self._skip()
            return ELIDED
        self._expect(opener)
        return self._members(levels - 1, keys) if opener == "{" else self._items(levels - 1)

    def value_offsets(self) -> tuple[dict[str, int], int]:
        """Go through an object and note where its values begin and where it ends."""
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
        """Make sure that nothing follows but blanks, or a NUL byte and what the stock reader ignores after it."""
        if not _END.match(self._text, self._at):
            raise self._error("something follows the value")

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
        """Check one value of any depth and keep nothing of it.

        The library's decoder does so ten times as fast where nothing in the value is odd.
        """
        if self._peek() not in _CLOSERS:
            self._scalar()  # of 007 the library would take the 0
            return
        try:
            _, self._at = _STRICTLY.raw_decode(self._text, self._at)
        except (ValueError, RecursionError):  # somebody else's library may have taken back the room for recursion
            self._skip_oddity()

    def _skip_oddity(self) -> None:
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
        """Close the containers that end here; say whether another value follows."""
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
        """Return the next character that is no blank, or an empty text at the end."""
        self._blank()
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        """Go past `token` if it comes next."""
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
