"""Family `sregex`: does this event_location pattern match this text."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from producer.sregex import compile_sregex
from tests.conformance.harness import Deviation

if TYPE_CHECKING:
    from tests.conformance.harness import Case


def field_bytes(case: Case, name: str) -> bytes:
    """Return a field that is text, or base64 where it is not UTF-8."""
    encoded = case.get(f"{name}_b64")
    return str(case[name]).encode() if encoded is None else b64decode(encoded)


def ours(case: Case) -> str:
    try:
        matches = compile_sregex(field_bytes(case, "pattern"))
    except ValueError:
        return "invalid"
    return "match" if matches(field_bytes(case, "text")) else "nomatch"


def same(case: Case, ours: str) -> bool:
    return bool(ours == case["result"])


def has_unanchored_non_ascii(pattern: bytes) -> bool:
    """Say whether the stock matcher cannot find one of the alternatives (spec 3.3, last row)."""
    return any(
        not text.isascii() and not text.startswith(b"^") and not text.endswith(b"$")
        for text in pattern.removeprefix(b"!").split(b"|")
    )


def _as_where_char_is_unsigned(case: Case, ours: str) -> bool:
    return has_unanchored_non_ascii(field_bytes(case, "pattern")) and ours == case.get("result_unsigned_char")


DEVIATIONS = (Deviation("D5", _as_where_char_is_unsigned),)
