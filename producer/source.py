"""The interface of an alert source, all that the rest of the producer knows of it.

Today the only source is the manager's alert log (`producer.alertlog`). Wazuh 5 has no alert log; its findings index can
implement the same protocols. Delivery ids, cursors and waiting come from the source: nothing outside it knows about
files or offsets.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from common.settings.moments import LogPosition


class Span(Protocol):
    """What a line, or the lines of one read, cover: positions in a stream.

    Only the source knows what a stream is, such as a file or a shard. In a stream, positions grow from line to line. So
    a line that is read again is recognised.
    """

    @property
    def stream(self) -> str:
        """The name of the stream."""

    @property
    def start(self) -> int:
        """The first position; at least 0."""

    @property
    def end(self) -> int:
        """The position behind the last one."""


class Line(Span, Protocol):
    """One line of the source, normally an alert in JSON."""

    @property
    def raw(self) -> bytes:
        """The line's own bytes, without a line end."""

    @property
    def id(self) -> str:
        """The permanent id of the line on its node: the same each time it is read, and that of no other line."""

    @property
    def location(self) -> str:
        """Where the line is, for a person."""

    @property
    def next_cursor(self) -> str:
        """The cursor right behind this line."""

    def slice(self, start: int, end: int) -> Line:
        """Return the bytes from `start` to `end` as a line of its own."""


class Lines(Span, Protocol):
    """The lines of one read, in order, all of one stream. They may be made only when they are asked for."""

    def prefilter(
        self, reject: Callable[[bytes], object], undecided: tuple[type[Exception], ...]
    ) -> tuple[int, Iterable[Line]]:
        """Return the number of lines, and the lines that `reject` does not reject.

        `reject` returns a value for a line that it rejects, and raises one of `undecided` for any other line.
        """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Line]: ...
    def __getitem__(self, at: int, /) -> Line: ...


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

    lines: Lines
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
    """A source of lines, for one thread; only `wake` may be called in others.

    A cursor is a text without spaces that only its source can interpret. It is stored in Redis. It comes from one of
    these methods or from `Line.next_cursor`, never from elsewhere.
    """

    def beginning(self) -> str:
        """Return the cursor before the oldest line."""

    def end(self) -> str:
        """Return the cursor behind the newest complete line. Also works while the source has no line yet."""

    def at(self, moment: datetime) -> str:
        """Return a cursor before the first line written at `moment` or later."""

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a position in the settings; if that does not exist, an earlier or the next one."""

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them, without waiting for more.

        Never raises because of the source's content.
        """

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or earlier: when there may be more lines than before the last read, or after `wake`.

        The first call may return at once.
        """

    def wake(self) -> None:
        """End the current wait. Safe in signal handlers and in any thread, also after `close`."""

    def close_unused(self, cursors: Collection[str]) -> None:
        """Release resources that are not needed to read at these cursors. The producer calls it once a second."""

    def close(self) -> None:
        """Release all resources."""

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the end. Never raises because of the source's content."""


class SearchableSource(Source, Protocol):
    """A source in which an operator's command can find lines. The producer needs none of this."""

    def line(self, line_id: str) -> Line | None:
        """Return the line with this id, or the part of a damaged line; None if the source does not have it any more."""

    def last(self, count: int) -> list[Line]:
        """Return the last `count` lines, oldest first; fewer if there are no more."""

    def is_behind(self, cursor: str, line: Line) -> bool | None:
        """Return whether `cursor` is behind `line`, so that its reader has read the line; None if that is unknown."""
