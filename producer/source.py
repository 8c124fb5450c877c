"""The interface of an alert source: `read` takes a cursor and returns lines and the next cursor.

Today the only source is the manager's alert log. Wazuh 5 has no alert log; its findings index can implement the same
methods. A cursor is a text that only its source can interpret. It is stored in Redis.
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
    """Why a part of the source was skipped: a closed list, used as a metric label."""

    OVERLONG = "overlong"
    """A line above `producer.max_line`."""
    MISSING = "missing"
    """A range of the log that no file contains any more."""
    UNREADABLE = "unreadable"
    """A damaged archive, or a file without read permission."""
    UNFINISHED = "unfinished"
    """A partial line at the end of a file that another file follows."""


class SkippedRange(msgspec.Struct, frozen=True):
    """A part of the source that was skipped. `detail` describes it for a person; `sample` holds its first bytes."""

    reason: LossReason
    detail: str
    sample: bytes = b""


class Batch(msgspec.Struct, frozen=True):
    """The result of one read: complete lines in order, the cursor behind them, and whether nothing follows yet."""

    lines: LogLines
    cursor: str
    at_end: bool
    skipped: tuple[SkippedRange, ...] = ()


class Lag(msgspec.Struct, frozen=True):
    """How far a cursor is behind the end: bytes that come after it, and the age of the next line in seconds.

    Both are 0 at the end. Compressed files count with their uncompressed size; gzip stores it modulo 4 GiB.
    """

    size_bytes: int
    age_s: float


class Source(Protocol):
    """A source of lines.

    A cursor comes from one of these methods or from `LogLine.next_cursor`, never from elsewhere.
    """

    def beginning(self) -> str:
        """Return the cursor before the oldest line."""

    def end(self) -> str:
        """Return the cursor behind the newest complete line. Also works while the log does not exist yet."""

    def at(self, moment: datetime) -> str:
        """Return a cursor before the first line written at `moment` or later."""

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a position in the settings; if that does not exist, an earlier or the next one."""

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises because of the log's content."""

    def close_unused(self, cursors: Collection[str]) -> None:
        """Release resources that are not needed to read at these cursors. The producer calls it once a second."""

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the end. Never raises because of the log's content."""
