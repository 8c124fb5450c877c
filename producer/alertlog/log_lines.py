"""The lines of one read, as one block of bytes; a `LogLine` is made only for lines that are used.

Copying each line and computing its offsets costs 0.5 us, more than half of the time to decode a line, and most alerts
of a log match nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, overload
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reject = Callable[[bytes], object]
    Suffix = Callable[[bytes], str]
    Undecided = tuple[type[Exception], ...]


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One complete line; a `Line`. `raw` has no line end.

    `stream` is the stable id of the file, `start` and `end` are byte offsets in it; `end` is behind the line end, if
    there is one. `suffix` returns the part after the offset in the cursor behind the line.
    """

    raw: bytes
    stream: str
    start: int
    end: int
    suffix: Suffix | None = None

    @property
    def id(self) -> str:
        """The permanent id of the line on its node.

        It contains a checksum because a truncated file can begin as before and have another line at this offset.
        """
        return f"{self.stream}:{self.start:010x}:{crc32(self.raw):08x}"

    @property
    def location(self) -> str:
        """Where the line is, for a person."""
        return f"byte {self.start} of the log file with fingerprint {self.stream}"

    @property
    def next_cursor(self) -> str:
        """The cursor right behind this line."""
        ending = b"\n" * (self.end - self.start - len(self.raw))
        return f"{self.stream}:{self.end}{self.suffix(self.raw + ending) if self.suffix else ''}"

    def slice(self, start: int, end: int) -> LogLine:
        """Return a part of the line as a line of its own; a part up to the end includes the line end."""
        behind = self.end if end == len(self.raw) else self.start + end
        return LogLine(self.raw[start:end], self.stream, self.start + start, behind, self.suffix)


class LogLines(Sequence[LogLine]):
    """`Lines` of one file in order. `start` is where the first one starts, `end` where the last one ends."""

    def __init__(self, lines: Sequence[LogLine] = ()) -> None:
        self._lines = lines
        self.stream, self.start, self.end = (lines[0].stream, lines[0].start, lines[-1].end) if lines else ("", 0, 0)

    def prefilter(self, reject: Reject, undecided: Undecided) -> tuple[int, Sequence[LogLine]]:
        """Return the number of lines, and the lines that `reject` does not reject.

        `reject` returns a value for a line that it rejects, and raises one of `undecided` for any other line.
        """
        left = []
        for line in self._lines:
            try:
                reject(line.raw)
            except undecided:
                left.append(line)
        return len(self._lines), left

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self._lines)

    @overload
    def __getitem__(self, at: int) -> LogLine: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[LogLine]: ...
    def __getitem__(self, at: int | slice) -> LogLine | Sequence[LogLine]:
        return self._lines[at]


class LineBuffer(LogLines):
    """Consecutive lines: the first `size` bytes of `data`, up to a line end; they begin at offset `start`."""

    def __init__(self, data: bytes, size: int, stream: str, start: int, suffix: Suffix | None = None) -> None:
        self._data, self._size, self._suffix = data, size, suffix
        self.stream, self.start, self.end = stream, start, start + size

    def prefilter(self, reject: Reject, undecided: Undecided) -> tuple[int, Sequence[LogLine]]:
        """Return the number of lines, and a `LogLine` for each line that `reject` does not reject."""
        raws, rejected, left = self._raws(), list[object](), list[LogLine]()
        rejecting = map(reject, raws)  # runs in C: a loop in Python would cost a tenth more
        while True:
            try:
                rejected.extend(rejecting)
            except undecided:  # map continues with the next line after an error
                end = raws.tell()
                left.append(self._line(self._data.rfind(b"\n", 0, end - 1) + 1, end))
            else:
                return len(rejected) + len(left), left

    def _raws(self) -> BytesIO:
        """Return an iterator over the bytes of each line with its line end."""
        raws = BytesIO(self._data)
        raws.truncate(self._size)  # copies nothing, as a slice would
        return raws

    @cached_property
    def _bounds(self) -> list[int]:
        """The start of each line and the end of the last one, as offsets in the data."""
        return list(accumulate(map(len, self._raws()), initial=0))

    def _line(self, start: int, end: int) -> LogLine:
        return LogLine(self._data[start : end - 1], self.stream, self.start + start, self.start + end, self._suffix)

    def __bool__(self) -> bool:
        return self._size > 0

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[LogLine]:
        return (self._line(start, end) for start, end in pairwise(self._bounds))

    @overload
    def __getitem__(self, at: int) -> LogLine: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[LogLine]: ...
    def __getitem__(self, at: int | slice) -> LogLine | Sequence[LogLine]:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        n = range(len(self))[at]
        return self._line(self._bounds[n], self._bounds[n + 1])
