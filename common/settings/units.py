"""Parses and formats durations and sizes: a whole number and a unit.

Each unit has one spelling, and the unit is required: `30` could mean seconds or minutes, `"30s"` is clear.
"""

from __future__ import annotations

import re
from typing import Final

MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

_QUANTITY: Final = re.compile(r"([0-9]{1,9}) ?([A-Za-z]+)")


def parse_duration(text: str) -> float:
    """Return the seconds of `250ms`, `30s`, `5m`, `2h` or `3d`. Raises ValueError, which says what is wrong."""
    return _parse(text, MILLISECONDS) / 1000


def format_duration(seconds: float) -> str:
    """Return `seconds` (zero or more, rounded to milliseconds) in the largest unit that is exact."""
    return _format(round(seconds * 1000), MILLISECONDS, "s")


def parse_size(text: str) -> int:
    """Return the bytes of `512B`, `64KiB`, `16MiB`, `4GiB` or `1TiB`. Raises ValueError, which says what is wrong."""
    return _parse(text, BYTES)


def format_size(size_bytes: int) -> str:
    """Return `size_bytes` (zero or more) in the largest unit that is exact."""
    return _format(size_bytes, BYTES, "B")


def _parse(text: str, units: dict[str, int]) -> int:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError("is not a whole number and a unit")
    number, unit = found.groups()
    if unit not in units:
        raise ValueError(f"has the unit {unit!r}, which is none of {', '.join(units)}")
    return int(number) * units[unit]


def _format(amount: int, units: dict[str, int], unit_of_zero: str) -> str:
    if amount == 0:
        return f"0{unit_of_zero}"
    unit, factor = next((unit, factor) for unit, factor in reversed(units.items()) if amount % factor == 0)
    return f"{amount // factor}{unit}"
