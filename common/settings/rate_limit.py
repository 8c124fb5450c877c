"""A rate limit as people write it: `1/s burst 3`, `4/min`, `500/day`.

N/s burst B    a bucket of B tokens that fills with N a second; without a burst, a second's worth
N/min, N/h     never more than N in any 60 seconds, in any 60 minutes
N/day          never more than N from 00:00 to 24:00 UTC, as vendors count their quotas
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
    """The time in which is counted."""

    SECOND = "s"
    MINUTE = "min"
    HOUR = "h"
    DAY = "day"


class RateLimit(msgspec.Struct, frozen=True):
    """At most `count` in a `unit`; `burst` is how many may go at once, and only means something per second."""

    count: int
    unit: Unit
    burst: int = 0

    def __str__(self) -> str:
        burst = f" burst {self.burst}" if self.unit is Unit.SECOND and self.burst != self.count else ""
        return f"{self.count}/{self.unit}{burst}"

    def count_left(self, used: float) -> int:
        """Return how many may go at once when so many tokens are gone."""
        most = self.burst or self.count
        return min(most, math.floor(most - used + 1e-6))


def parse_rate_limit(text: str) -> RateLimit:
    """Return the limit that is written there; raise ValueError with what is wrong."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise ValueError("is not a number, / and a unit")
    count, word, burst = int(found[1]), found[2], found[3]
    if word not in list(Unit):
        raise ValueError(f"has the unit {word!r}, which is none of {', '.join(Unit)}")
    unit = Unit(word)
    if burst is not None and unit is not Unit.SECOND:
        raise ValueError(f"has a burst, which only a limit per second can have: N/{unit} may go all at once")
    for number in (count, count if burst is None else int(burst)):
        if not 1 <= number <= LARGEST:
            raise ValueError(f"has the number {number}, which is not from 1 to {LARGEST}")
    return RateLimit(count, unit, (count if burst is None else int(burst)) if unit is Unit.SECOND else 0)
