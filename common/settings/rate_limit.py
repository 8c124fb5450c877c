"""Parses rate limits: `1/s burst 3`, `4/min`, `500/day`.

N/s burst B    a token bucket of size B that refills with N tokens a second; without a burst, B is N
N/min, N/h     at most N in any 60 seconds, in any 60 minutes
N/day          at most N from 00:00 to 24:00 UTC, as vendors count their quotas
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Final

import msgspec

LARGEST: Final = 1_000_000

_LIMIT: Final = re.compile(r"([0-9]{1,7}) ?/ ?([a-z]+)(?: burst ([0-9]{1,7}))?")


class Unit(StrEnum):
    """The period of a rate limit."""

    SECOND = "s"
    MINUTE = "min"
    HOUR = "h"
    DAY = "day"


class RateLimit(msgspec.Struct, frozen=True):
    """At most `count` per `unit`. `burst` is the size of the token bucket; only limits per second have one."""

    count: int
    unit: Unit
    burst: int = 0

    def __str__(self) -> str:
        burst = f" burst {self.burst}" if self.unit is Unit.SECOND and self.burst != self.count else ""
        return f"{self.count}/{self.unit}{burst}"

    def count_left(self, used: float) -> int:
        """Return how many deliveries may go now if `used` tokens are used."""
        capacity = self.burst or self.count
        return min(capacity, math.floor(capacity - used + 1e-6))  # 1e-6 absorbs rounding errors of the refill


def parse_rate_limit(text: str) -> RateLimit:
    """Return the parsed limit. Raises ValueError, which says what is wrong."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise ValueError("is not a number, / and a unit")
    count, unit_name, burst = int(found[1]), found[2], found[3]
    if unit_name not in list(Unit):
        raise ValueError(f"has the unit {unit_name!r}, which is none of {', '.join(Unit)}")
    unit = Unit(unit_name)
    if burst is not None and unit is not Unit.SECOND:
        raise ValueError(f"has a burst, which only a limit per second can have: all N of N/{unit} may go at once")
    for number in (count, count if burst is None else int(burst)):
        if not 1 <= number <= LARGEST:
            raise ValueError(f"has the number {number}, which is not from 1 to {LARGEST}")
    return RateLimit(count, unit, (count if burst is None else int(burst)) if unit is Unit.SECOND else 0)
