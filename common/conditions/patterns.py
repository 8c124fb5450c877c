"""A value of `=` and `!=`: a text in which `*` stands for any characters, and `?` for one."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from common.conditions.regex import compile_full_match, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Wildcard(Enum):
    """What stands for other characters, line ends included."""

    ANY = "*"
    ONE = "?"


_IN_REGEX: Final = {Wildcard.ANY: "(?s:.*)", Wildcard.ONE: "(?s:.)"}
_PIECE: Final = re.compile(r"([*?])")


class Pattern(msgspec.Struct, frozen=True):
    """Texts and wildcards. No text is empty and no two texts follow each other, so equal patterns have equal parts."""

    parts: tuple[str | Wildcard, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Return the pattern of a text in which every `*` and `?` is a wildcard."""
        pieces = _PIECE.split(text)  # every second piece is a wildcard
        return cls.joined(Wildcard(piece) if number % 2 else piece for number, piece in enumerate(pieces))

    @classmethod
    def joined(cls, parts: Iterable[str | Wildcard]) -> Pattern:
        """Return the pattern of these parts, which may be empty and follow each other in any order."""
        whole, text = list[str | Wildcard](), list[str]()
        for part in (*parts, None):
            if isinstance(part, str):
                text.append(part)
                continue
            whole += filter(None, ["".join(text)])
            text.clear()
            whole += filter(None, [part])
        return cls(tuple(whole))

    @property
    def literal(self) -> str | None:
        """The text that it stands for, None if it has wildcards."""
        texts = [part for part in self.parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(self.parts) else None


def compile_pattern(pattern: Pattern) -> Callable[[str], bool]:
    """Return the function that says whether a text matches. Raises ValueError if the pattern is too long."""
    match pattern.parts:
        case (Wildcard.ANY,):
            return lambda _: True
        case (str(start), Wildcard.ANY):
            return lambda text: text.startswith(start)
        case (Wildcard.ANY, str(end)):
            return lambda text: text.endswith(end)
        case (Wildcard.ANY, str(part), Wildcard.ANY):
            return lambda text: part in text
    return compile_full_match(
        "".join(escape(part) if isinstance(part, str) else _IN_REGEX[part] for part in pattern.parts)
    )
