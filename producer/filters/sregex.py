"""The pattern language of `<event_location>`: literal text, `|`, `^`, `$` and a leading `!`, nothing else (spec 3.3).

It looks like a regular expression but has no escape, wildcard or class, so Python's `re` would misread most patterns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[bytes], bool]

MAX_PATTERN_BYTES: Final = 20_480
"""A longer pattern does not compile (spec 1.3)."""


def compile_sregex(pattern: bytes) -> Callable[[bytes], bool]:
    """Return the function that says whether a text matches `pattern`; the letters A to Z match in either case.

    Texts are compared as bytes, also those above ASCII in an unanchored alternative (D5).
    Raises ValueError when the pattern is longer than MAX_PATTERN_BYTES.
    """
    if len(pattern) > MAX_PATTERN_BYTES:
        raise ValueError(f"the pattern has {len(pattern)} bytes, at most {MAX_PATTERN_BYTES} are allowed")
    negated = pattern.startswith(b"!")
    tests = [_alternative(text) for text in pattern[negated:].lower().split(b"|")]

    def matches(text: bytes) -> bool:
        folded = text.lower()
        return any(test(folded) for test in tests) != negated

    return matches


def _alternative(text: bytes) -> Test:
    """Return the test of one alternative, already in lower case, for texts in lower case."""
    starts, ends = text.startswith(b"^"), text.endswith(b"$")
    literal = text[starts : len(text) - ends]
    if starts and ends:
        return lambda folded: folded == literal
    if starts:
        return lambda folded: folded.startswith(literal)
    if ends:
        return lambda folded: folded.endswith(literal)
    return lambda folded: literal in folded
