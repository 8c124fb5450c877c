"""The lines of one read: bytes first, and a `Line` of each only for those that somebody looks at.

To copy every line out of its block and to note where it stands costs half a microsecond, more than half of what it
takes to decode one, and most alerts of a log match nothing.
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
    from collections.abc import Callable, Iterable, Iterator

    PassOver = Callable[[Iterable[bytes]], Iterator[object]]
    Suffix = Callable[[bytes], str]
    Undecided = tuple[type[Exception], ...]


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One complete line. `raw` has no line end.

    `file` is the stable name of what it was read from (of a log file, its mark), `start` and `end` are byte offsets in
    there, `end` behind the line end if it has one. `suffix` returns what follows the offset in the cursor behind it.
    """

    raw: bytes
    file: str
    start: int
    end: int
    suffix: Suffix | None = None

    @property
    def id(self) -> str:
        """Return what identifies the line on its node, for ever.

        Its digest is for a file that was emptied or cut and begins as before: there another line starts here now.
        """
        return f"{self.file}:{self.start:010x}:{crc32(self.raw):08x}"

    @property
    def next_cursor(self) -> str:
        """Return the cursor right behind this line."""
        ending = b"\n" * (self.end - self.start - len(self.raw))
        return f"{self.file}:{self.end}{self.suffix(self.raw + ending) if self.suffix else ''}"

    def slice(self, start: int, end: int) -> LogLine:
        """Return these of its bytes as a line of its own; the last ones have the line end."""
        behind = self.end if end == len(self.raw) else self.start + end
        return LogLine(self.raw[start:end], self.file, self.start + start, behind, self.suffix)


class LogLines(Sequence[LogLine]):
    """Lines of one file in order. `start` is where the first one starts, `end` where the last one ends."""

    def __init__(self, lines: Sequence[LogLine] = ()) -> None:
        self._lines = lines
        self.file, self.start, self.end = (lines[0].file, lines[0].start, lines[-1].end) if lines else ("", 0, 0)

    def prefilter(self, pass_over: PassOver, undecided: Undecided) -> tuple[int, Sequence[LogLine]]:
        """Return how many lines there are, and those that `pass_over` does not pass over.

        It gives something for a line that it passes over, and raises one of `undecided` for another.
        """
        left = []
        for line in self._lines:
            try:
                next(pass_over((line.raw,)))
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
    """Lines without a gap: the first `size` bytes of `data`, up to a line end; they stand at `start` in `file`."""

    def __init__(self, data: bytes, size: int, file: str, start: int, suffix: Suffix | None = None) -> None:
        self._data, self._size, self._suffix = data, size, suffix
        self.file, self.start, self.end = file, start, start + size

    def prefilter(self, pass_over: PassOver, undecided: Undecided) -> tuple[int, Sequence[LogLine]]:
        """Do so, a `Line` being made of those lines only."""
        raws, passed, left = self._raws(), list[object](), list[LogLine]()
        passing = pass_over(raws)
        while True:
            try:
                passed.extend(passing)
            except undecided:
                end = raws.tell()
                left.append(self._line(self._data.rfind(b"\n", 0, end - 1) + 1, end))
            else:
                return len(passed) + len(left), left

    def _raws(self) -> BytesIO:
        """Return the lines' bytes with their line ends, to be iterated."""
        raws = BytesIO(self._data)
        raws.truncate(self._size)  # copies nothing, as a slice would
        return raws

    @cached_property
    def _bounds(self) -> list[int]:
        """Where each line starts, and where the last one ends."""
        return list(accumulate(map(len, self._raws()), initial=0))

    def _line(self, start: int, end: int) -> LogLine:
        return LogLine(self._data[start : end - 1], self.file, self.start + start, self.start + end, self._suffix)

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
