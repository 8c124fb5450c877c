"""Reads the pieces of a condition: words, names, and values with or without quotes."""

from __future__ import annotations

import re
from typing import Final

from common.conditions.patterns import Pattern, Wildcard
from common.errors import ConditionError

NO_OR: Final = "write a list with commas, or two strings where any of them counts"
JOIN_HINTS: Final = {"or": NO_OR, "||": NO_OR, "and": 'write "and"', "&&": 'write "and"'}
"""What to write instead of a word that joins conditions in other languages, by the word in lower case."""

BLANKS: Final = re.compile(r"\s*")
AND: Final = re.compile(r"and(?!\S)")

_VALUE_END: Final = re.compile(r"(?<!\S)and(?!\S)")
_LISTED_VALUE_END: Final = re.compile(r",|(?<!\S)and(?!\S)")
_QUOTED_PIECE: Final = re.compile(r'[^"\\*?]+|[*?]|\\.', re.DOTALL)
_COMPARED: Final = re.compile(r"[<>]=?\s*-?\d")
_WORD: Final = re.compile(r"\S+")
_OPERATORS: Final = frozenset({"=", "==", "!=", "<>", "<", "<=", ">", ">=", "~", "!~", "=~"})
_JOINS: Final = frozenset({"or", "OR", "||", "AND", "&&"})


def is_plain_value(text: str, *, in_list: bool) -> bool:
    """Say whether `text` is read unchanged when it is written as a value without quotes."""
    scanner = Scanner(text)
    try:
        return scanner.plain_value(in_list=in_list) == text and scanner.at_end()
    except ConditionError:
        return False


class Scanner:
    """A position in the text of a condition: `at` is the offset of the next character, which is no blank.

    All methods raise ConditionError for what they can't read. Its column is always inside the text.
    """

    def __init__(self, text: str, where: str = "") -> None:
        self.text, self._where, self.at = text, where, 0
        self.take(BLANKS)

    def error(self, problem: str, at: int | None = None) -> ConditionError:
        """Return the error for the offset `at`, by default the current one; at the end, for the last character."""
        offset = self.at if at is None else at
        return ConditionError(self.text, max(1, min(offset + 1, len(self.text))), problem, self._where)

    def at_end(self) -> bool:
        """Say whether nothing is left."""
        return self.at == len(self.text)

    def is_next(self, token: re.Pattern[str]) -> bool:
        """Say whether `token` comes next."""
        return token.match(self.text, self.at) is not None

    def take(self, token: re.Pattern[str]) -> str:
        """Consume `token` and the blanks after it, and return it; an empty text if something else comes next."""
        found = token.match(self.text, self.at)
        if not found:
            return ""
        blanks = BLANKS.match(self.text, found.end())
        self.at = blanks.end() if blanks else found.end()
        return found[0]

    def value(self, *, in_list: bool) -> str:
        """Consume a value without wildcards: a regular expression, a number, a network."""
        if not self.text.startswith('"', self.at):
            return self.plain_value(in_list=in_list)
        text = self.quoted_text()
        self.take(BLANKS)
        return text

    def pattern(self) -> Pattern:
        """Consume a value of a list, with wildcards."""
        if not self.text.startswith('"', self.at):
            return Pattern.of(self.plain_value(in_list=True))
        parts = self._quoted(wildcards=True)
        self.take(BLANKS)
        return Pattern.joined(parts)

    def plain_value(self, *, in_list: bool) -> str:
        """Consume a value without quotes: all up to `and`, to a comma in a list, or to the end."""
        stop = (_LISTED_VALUE_END if in_list else _VALUE_END).search(self.text, self.at)
        value = self.text[self.at : stop.start() if stop else None].rstrip()
        if not value or self.is_next(AND):
            raise self.error('a value is missing; write "" for an empty text')
        if in_list and _COMPARED.match(value):
            hint = "leave out the operator in front of it, or put the whole value in double quotes"
            raise self.error(f'"{value[0]}" begins a value: {hint}')
        for word in _WORD.finditer(value):
            self._check_word(word[0], self.at + word.start())
        self.at += len(value)
        self.take(BLANKS)
        return value

    def quoted_text(self) -> str:
        """Consume a text in quotes, without wildcards."""
        return "".join(part for part in self._quoted(wildcards=False) if isinstance(part, str))

    def _check_word(self, word: str, at: int) -> None:
        """Refuse a word that was meant as something else than a part of the value."""
        if '"' in word:
            raise self.error(
                'a quote inside a value; put the whole value in double quotes, and write \\" for this one',
                at + word.index('"'),
            )
        if word in _JOINS or word in _OPERATORS:
            hint = JOIN_HINTS.get(word.lower(), 'conditions are joined by "and"')
            raise self.error(f'"{word}" inside a value: {hint}; or put the whole value in double quotes', at)

    def _quoted(self, *, wildcards: bool) -> list[str | Wildcard]:
        """Consume a text in quotes, but not the blanks after it, which end a field."""
        start, parts = self.at, list[str | Wildcard]()
        self.at += 1
        while not self.text.startswith('"', self.at):
            piece = _QUOTED_PIECE.match(self.text, self.at)
            if not piece:
                raise self.error("the closing quote is missing", start)
            parts.append(self._unescaped(piece[0], wildcards=wildcards))
            self.at = piece.end()
        self.at += 1
        return parts

    def _unescaped(self, piece: str, *, wildcards: bool) -> str | Wildcard:
        if piece[0] == "\\":
            if piece[1] not in ('"\\*?' if wildcards else '"\\'):
                raise self.error(f'in double quotes, write "\\\\{piece[1]}" for a backslash before {piece[1]!r}')
            return piece[1]
        return Wildcard(piece) if wildcards and piece in "*?" else piece
