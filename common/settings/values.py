"""Readers that parse, check and display one value of the settings.

A file provides typed values, a variable or an option only text; a reader accepts both. The loader builds an error from
two parts: what is wrong (the text of the ValueError) and what to write (`expected`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from common.settings.rate_limit import RateLimit, parse_rate_limit
from common.settings.units import format_duration, format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable
T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
N = TypeVar("N", int, float)

Displayed = bool | int | str | list[int] | list[str] | list[dict[str, str]] | dict[str, str] | dict[str, str | int]
"""A value for display: in the form of courier.toml, with secrets masked."""

_QUOTED_CHARACTERS: Final = 60
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})?")


@dataclass(frozen=True, slots=True)
class Reader(Generic[T]):
    """Reads one key. `parse` raises ValueError, which says what is wrong; `expected` completes "write …".

    `suffix` is the end of the field's name and gives the unit of the value: `_s` or `_bytes`.
    """

    expected: str
    parse: Callable[[object], T]
    show: Callable[[T], Displayed]
    suffix: str = ""


def integer(low: int, high: int) -> Reader[int]:
    """Read a whole number from `low` to `high`."""

    def parse(raw: object) -> int:
        if isinstance(raw, str) and re.fullmatch(r"[0-9][0-9_]{0,18}", raw):
            raw = int(raw.replace("_", ""))
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise ValueError(f"{quoted(raw)} is not a whole number")  # noqa: TRY004 — one kind of bad input
        return _within(raw, low, high, str)

    return Reader(f"a whole number from {low} to {high}", parse, int)


def boolean() -> Reader[bool]:
    """Read `true` or `false`."""

    def parse(raw: object) -> bool:
        value = raw if isinstance(raw, bool) else {"true": True, "false": False}.get(str(raw))
        if value is None:
            raise ValueError(f"{quoted(raw)} is not true or false")
        return value

    return Reader("true or false", parse, bool)


def duration(low: str, high: str) -> Reader[float]:
    """Read a duration such as "30s" into seconds."""
    expected = f'a duration from "{low}" to "{high}"; units: ms, s, m, h, d'
    low_s, high_s = parse_duration(low), parse_duration(high)
    return _quantity(expected, parse_duration, format_duration, low=low_s, high=high_s, suffix="_s")


def size(low: str, high: str) -> Reader[int]:
    """Read a size such as "64KiB" into bytes."""
    expected = f'a size from "{low}" to "{high}"; units: B, KiB, MiB, GiB, TiB'
    low_bytes, high_bytes = parse_size(low), parse_size(high)
    return _quantity(expected, parse_size, format_size, low=low_bytes, high=high_bytes, suffix="_bytes")


def one_of(words: type[E]) -> Reader[E]:
    """Read one word of a closed list."""

    def parse(raw: object) -> E:
        try:
            return words(require_text(raw))
        except ValueError:
            raise ValueError(f"{quoted(raw)} is not one of the allowed words") from None

    return Reader(" or ".join(f'"{word}"' for word in words), parse, str)


def text(expected: str, pattern: str, *, empty: Callable[[], str] | None = None) -> Reader[str]:
    """Read a text that matches all of `pattern`; `empty` returns the value to use for an empty text."""

    def parse(raw: object) -> str:
        value = require_text(raw) or (empty() if empty else "")
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{quoted(value)} is not allowed")
        return value

    return Reader(expected, parse, str)


def percentage() -> Reader[int]:
    """Read "0%" to "100%" into a whole number."""

    def parse(raw: object) -> int:
        if not isinstance(raw, str) or not (found := re.fullmatch(r"([0-9]{1,3}) ?%", raw)):
            raise ValueError(f"{quoted(raw)} is not a percentage")
        return _within(int(found[1]), 0, 100, "{}%".format)

    return Reader('a percentage from "0%" to "100%"', parse, "{}%".format)


def rate_limits() -> Reader[tuple[RateLimit, ...]]:
    """Read a list such as ["4/min", "500/day"]. In a variable: separated by commas, or `none`."""

    def parse(raw: object) -> tuple[RateLimit, ...]:
        return tuple(map(_rate_limit, _texts(raw)))

    expected = 'a list such as ["1/s burst 3"] or ["4/min", "500/day"], or [] for none; units: s, min, h, day'
    return Reader(expected, parse, lambda limits: [str(limit) for limit in limits])


def path() -> Reader[Path]:
    """Read a path; the loader makes it absolute."""
    return Reader("a path", lambda raw: Path(require_non_empty(raw)), str)


def integers(low: int, high: int) -> Reader[tuple[int, ...]]:
    """Read a list of whole numbers, or a text with numbers separated by commas."""

    def parse(raw: object) -> tuple[int, ...]:
        reader = integer(low, high)
        items = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise ValueError(f"{quoted(raw)} is not a list")  # noqa: TRY004 — one kind of bad input
        return tuple(reader.parse(item) for item in items)

    return Reader(f"a list of whole numbers from {low} to {high}", parse, list)


def networks() -> Reader[tuple[IPv4Network | IPv6Network, ...]]:
    """Read a list of IP networks or addresses. In a variable: separated by commas, or `none`."""

    def parse(raw: object) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(map(_network, _texts(raw)))

    expected = 'a list such as ["10.2.0.0/16", "192.168.7.9", "fd12:3456::/32"], or [] for none'
    return Reader(expected, parse, lambda given: [str(one) for one in given])


def hosts() -> Reader[tuple[str, ...]]:
    """Read a list of host names and convert them to lower case. In a variable: separated by commas, or `none`."""

    def parse(raw: object) -> tuple[str, ...]:
        found = tuple(text.lower() for text in _texts(raw))
        for one in found:
            if not _HOST.fullmatch(one):
                raise ValueError(f"{quoted(one)} is not a host name")
        return found

    return Reader('a list of names without scheme and port, such as ["soc.example.org"], or [] for none', parse, list)


def optional(reader: Reader[T]) -> Reader[T | None]:
    """Read what `reader` reads, or None from an empty text."""

    def parse(raw: object) -> T | None:
        return None if raw == "" else reader.parse(raw)

    def show(value: T | None) -> Displayed:
        return "" if value is None else reader.show(value)

    return Reader(f'{reader.expected}, or "" for none', parse, show, reader.suffix)


def require_text(raw: object) -> str:
    """Return `raw` if it is a text without NUL and surrogates, which encoders reject; else raise ValueError."""
    if not isinstance(raw, str):
        raise ValueError("the value (not shown) is not a text")  # noqa: TRY004 — one kind of bad input
    if "\0" in raw or any("\ud800" <= letter <= "\udfff" for letter in raw):
        raise ValueError("the value (not shown) contains invalid characters")
    return raw


def require_non_empty(raw: object) -> str:
    """Return `raw` if `require_text` accepts it and it is not empty, else raise ValueError."""
    value = require_text(raw)
    if not value:
        raise ValueError("the value is empty")
    return value


def quoted(raw: object) -> str:
    """Return `raw` for an error text: on one line, at most 60 characters, control characters escaped."""
    line = json.dumps(raw, default=str)
    return line if len(line) <= _QUOTED_CHARACTERS else f"{line[:_QUOTED_CHARACTERS]}…"


def _texts(raw: object) -> list[str]:
    """Return a list of texts, from a list or from a text separated by commas; `none` is an empty list."""
    items = ([] if raw == "none" else raw.split(",")) if isinstance(raw, str) else raw
    if not isinstance(items, list):
        raise ValueError(f"{quoted(raw)} is not a list")  # noqa: TRY004 — one kind of bad input
    for one in items:
        if not isinstance(one, str):
            raise ValueError(f"{quoted(one)} is not a text")  # noqa: TRY004 — as above
    return [one.strip() for one in items]


def _network(raw: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(raw)
    except ValueError as error:
        problem = "has bits set after its mask" if "host bits" in str(error) else "is not an IP network"
        raise ValueError(f"{quoted(raw)} {problem}") from None


def _rate_limit(raw: str) -> RateLimit:
    try:
        return parse_rate_limit(raw)
    except ValueError as error:
        raise ValueError(f"{quoted(raw)} {error}") from None


def _quantity(
    expected: str, parse_text: Callable[[str], N], show: Callable[[N], str], *, low: N, high: N, suffix: str
) -> Reader[N]:
    def parse(raw: object) -> N:
        if not isinstance(raw, str):
            raise ValueError(f"{quoted(raw)} has no unit")  # noqa: TRY004 — one kind of bad input
        try:
            value = parse_text(raw)
        except ValueError as error:
            raise ValueError(f"{quoted(raw)} {error}") from None
        return _within(value, low, high, show)

    return Reader(expected, parse, show, suffix)


def _within(value: N, low: N, high: N, show: Callable[[N], str]) -> N:
    if value < low:
        raise ValueError(f"{show(value)} is less than {show(low)}")
    if value > high:
        raise ValueError(f"{show(value)} is more than {show(high)}")
    return value
