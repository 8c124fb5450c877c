"""Family `sregex`: does this event_location pattern match this text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.filters.sregex import compile_sregex
from tests.conformance.case import field_bytes

if TYPE_CHECKING:
    from tests.conformance.case import Case


def ours(case: Case) -> str:
    try:
        matches = compile_sregex(field_bytes(case, "pattern"))
    except ValueError:
        return "invalid"
    return "match" if matches(field_bytes(case, "text")) else "nomatch"


def same(case: Case, ours: str) -> bool:
    return bool(ours == case["result"])


def has_unanchored_non_ascii(pattern: bytes) -> bool:
    """Return whether the stock matcher cannot find one of the alternatives (spec 3.3, last row)."""
    return any(map(is_unanchored_non_ascii, pattern.removeprefix(b"!").split(b"|")))


def is_unanchored_non_ascii(alternative: bytes) -> bool:
    return not (alternative.isascii() or alternative.startswith(b"^") or alternative.endswith(b"$"))


def matches_as_bytes(case: Case, ours: str) -> bool:
    """The stock matcher never finds an unanchored alternative with a byte above ASCII; we find it, which is also what
    the stock matcher does where C's `char` is unsigned.
    """
    pattern, text = field_bytes(case, "pattern"), field_bytes(case, "text").lower()
    lost = [one for one in pattern.removeprefix(b"!").lower().split(b"|") if is_unanchored_non_ascii(one)]
    there = any(one in text for one in lost)
    found = "nomatch" if pattern.startswith(b"!") else "match"
    return there and ours == found != case["result"] and case.get("result_unsigned_char", ours) == ours
