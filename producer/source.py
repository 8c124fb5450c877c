"""Where alerts come from, as the producer sees it: a cursor goes in, lines and the next cursor come out.

Today the one source is the manager's alert log. Wazuh 5 has none; there it will be the findings index, behind the same
few methods. A cursor is a text that only its source understands: it is stored in Redis and survives everything there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

from producer.log_lines import LogLines

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from common.settings.values import LogPosition


class LossReason(StrEnum):
    """Why something of the source was passed over: a closed list, used as a metric label."""

    OVERLONG = "overlong"
    """A line above `producer.max_line`."""
    MISSING = "missing"
    """A range of the log that no file holds any more."""
    UNREADABLE = "unreadable"
    """A damaged archive, or a file that may not be read."""
    UNFINISHED = "unfinished"
    """Half a line at the end of a file that another file follows."""


class SkippedRange(msgspec.Struct, frozen=True):
    """Something that was passed over: why, which range (for a person), and how its bytes begin."""

    reason: LossReason
    detail: str
    sample: bytes = b""


class Batch(msgspec.Struct, frozen=True):
    """What one read returned: complete lines in order, the cursor behind them, and whether that is the end for now."""

    lines: LogLines
    cursor: str
    at_end: bool
    skipped: tuple[SkippedRange, ...] = ()


class Lag(msgspec.Struct, frozen=True):
    """How far a cursor is behind the end: bytes that come after it, and the age of the next line in seconds.

    Both are 0 at the end. Bytes of compressed files count as they were before; above 4 GiB each, gzip does not tell.
    """

    size_bytes: int
    age_s: float


class Source(Protocol):
    """A source of lines.

    A cursor comes from one of these methods or from `LogLine.next_cursor`, never from elsewhere.
    """

    def beginning(self) -> str:
        """Return the cursor before the oldest line that is there."""

    def end(self) -> str:
        """Return the cursor behind the newest complete line. It is good, too, while the log does not exist yet."""

    def at(self, moment: datetime) -> str:
        """Return a cursor before the first line written at `moment` or later."""

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a place that a person named; where it cannot be had, an earlier or the next one."""

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises for what a log can look like."""

    def close_unused(self, cursors: Collection[str]) -> None:
        """Let go of what is open for reading on anywhere but at these; to be called now and then."""

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the end, without moving anything. Never raises for what a log can be."""
