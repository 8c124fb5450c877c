"""One place in one file: takes blocks of bytes and gives complete lines, in bounded memory.

A reader keeps what it handed out last, so that whoever has taken only a part of it can go on in the middle without a
compressed file being decompressed from its start again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from producer.alertlog.cursor import MAX_CHECKSUM_BYTES, Cursor, checksum_of, line_checksum, suffix
from producer.alertlog.log_file import BLOCK_BYTES
from producer.log_lines import LineBuffer, LogLine, LogLines
from producer.source import LossReason, SkippedRange

if TYPE_CHECKING:
    from producer.alertlog.cursor import FileDate
    from producer.alertlog.log_file import LogFile

SAMPLE_BYTES: Final = 200
MAX_SKIP_BYTES: Final = 64 * 1024 * 1024
"""So much of an over-long line is passed over in one read, so that nobody waits long for its end."""

REREAD_BELOW_BYTES: Final = 16 * 1024
"""So much is rather read again than copied; nearly every line is shorter."""


class Chunk(NamedTuple):
    """What one read gave. `end` is the offset behind it, with its `seal`; `at_end`: there was nothing after it."""

    lines: LogLines
    end: int
    at_end: bool
    skipped: tuple[SkippedRange, ...] = ()
    checksum: str = ""


class LineReader:
    """Reads an open file in order from the line that starts at the content's `at`. `path` is for people.

    `file` and `name` are what its places are called by.
    """

    def __init__(self, content: LogFile, path: str, max_line_bytes: int, file: str, name: FileDate | None) -> None:
        self.content, self.path, self.file, self.name = content, path, file, name
        self.waited_at_s = 0.0
        """When we last waited at its end, and so saw whatever came next."""
        self._max_line_bytes = max_line_bytes
        self._buffer, self._buffer_offset = b"", content.offset
        self._before = content.before
        """The last bytes before what is held, at most as many as a seal covers."""
        self._oversized: tuple[int, bytes] | None = None
        """Start and first bytes of the over-long line that we are in the middle of."""

    def can_continue_at(self, place: Cursor) -> bool:
        """Say whether it can read on from there without going back in the file."""
        if place.file != self.file or (place.name and place.name != self.name):
            return False
        if self._oversized:
            return place.offset == self._oversized[0]
        return self._buffer_offset <= place.offset <= self._buffer_offset + len(self._buffer)

    def read(self, offset: int, max_bytes: int) -> Chunk:
        """Return complete lines from `offset` on, which it `serves`: about `max_bytes`, or one line.

        Raises FileReplaced.
        """
        if self._oversized:
            return self._skip(*self._oversized)
        at_end = self._fill(offset, max_bytes)
        size = self._buffer.rfind(b"\n") + 1
        if size:
            lines, passed = self._lines(size)
            return Chunk(lines, offset + size, at_end and size == len(self._buffer), passed, self._checksum(size))
        if len(self._buffer) > self._max_line_bytes:
            self._oversized, self._before = (offset, self._buffer[:SAMPLE_BYTES]), self._buffer[-MAX_CHECKSUM_BYTES:]
            self._buffer = b""
            return self._skip(*self._oversized)
        return Chunk(LogLines(), offset, at_end)

    def partial_line(self, offset: int) -> LogLine:
        """Return the line behind `offset` that has no end; of one that is too long, how it begins."""
        raw = self._oversized[1] if self._oversized else self._buffer[offset - self._buffer_offset :]
        return LogLine(raw, self.file, offset, offset + len(raw), self._suffix)

    def _suffix(self, before: bytes) -> str:
        """Return what follows the offset in the cursor behind a line."""
        return suffix(checksum_of(before), self.name)

    def _checksum(self, size: int) -> str:
        """Return the seal of the place `size` bytes behind where what is held begins: that of the last line's cursor.

        Lines that are passed over may be alike, so behind such a one it covers more.
        """
        before = (self._before + self._buffer[max(0, size - MAX_CHECKSUM_BYTES) : size])[-MAX_CHECKSUM_BYTES:]
        length = size - self._buffer.rfind(b"\n", 0, size - 1) - 2
        return line_checksum(before) if length <= self._max_line_bytes else checksum_of(before)

    def cursor_at(self, offset: int) -> Cursor:
        """Return the place at `offset`, which becomes where it reads on. Raises OSError."""
        self.content.seek(offset, "")
        self._buffer, self._buffer_offset, self._before = b"", offset, self.content.before
        return Cursor(self.file, offset, line_checksum(self._before), self.name)

    def _fill(self, offset: int, max_bytes: int) -> bool:
        """Hold what follows `offset`: `max_bytes`, or more until a line is complete or too long. Say if that is all."""
        self._go_to(offset)
        pieces = [self._buffer]
        # To read the half line again with its other half is cheaper than to copy everything behind it.
        if len(pieces[0]) < REREAD_BELOW_BYTES and self.content.unread(len(pieces[0])):
            pieces = [b""]
        size, complete, at_end = len(pieces[0]), b"\n" in pieces[0], False
        while not at_end and (size < max_bytes if complete else size <= self._max_line_bytes):
            piece = self.content.read(max(max_bytes - size, BLOCK_BYTES))
            pieces.append(piece)
            size, complete, at_end = size + len(piece), complete or b"\n" in piece, not piece
        self._buffer = b"".join(filter(None, pieces))  # a single piece is not copied
        return at_end

    def _go_to(self, offset: int) -> None:
        """Let go of what is before `offset`."""
        size = offset - self._buffer_offset
        if size:
            self._before = (self._before + self._buffer[max(0, size - MAX_CHECKSUM_BYTES) : size])[-MAX_CHECKSUM_BYTES:]
            self._buffer, self._buffer_offset = self._buffer[size:], offset

    def _lines(self, size: int) -> tuple[LogLines, tuple[SkippedRange, ...]]:
        """Make lines of the first `size` bytes that are held. A carriage return stays: JSON takes it as a blank."""
        block = LineBuffer(self._buffer, size, self.file, self._buffer_offset, self._suffix)
        longest = self._max_line_bytes
        if size <= longest:
            return block, ()
        passed = tuple(self._overlong(line.raw, line.start, line.end) for line in block if len(line.raw) > longest)
        return (LogLines([line for line in block if len(line.raw) <= longest]), passed) if passed else (block, ())

    def _skip(self, start: int, sample: bytes) -> Chunk:
        """Go on to the end of the over-long line; hold nothing of it."""
        enough = self.content.offset + MAX_SKIP_BYTES
        while self.content.offset < enough:
            block = self.content.read(BLOCK_BYTES)
            newline = block.find(b"\n")
            if newline >= 0:
                end = self.content.offset - len(block) + newline + 1
                self._oversized, self._buffer, self._buffer_offset = None, block[newline + 1 :], end
                self._before = (self._before + block[max(0, newline + 1 - MAX_CHECKSUM_BYTES) : newline + 1])[
                    -MAX_CHECKSUM_BYTES:
                ]
                passed = (self._overlong(sample, start, end),)
                return Chunk(LogLines(), end, at_end=False, skipped=passed, checksum=checksum_of(self._before))
            if not block:
                return Chunk(LogLines(), start, at_end=True)
            self._before = (self._before + block[-MAX_CHECKSUM_BYTES:])[-MAX_CHECKSUM_BYTES:]
        return Chunk(LogLines(), start, at_end=False)

    def _overlong(self, raw: bytes, start: int, end: int) -> SkippedRange:
        size = end - start - 1
        detail = (
            f"{self.path}: the line at byte {start} has {size} bytes, more than producer.max_line"
            f" ({self._max_line_bytes}); raise that setting to have such lines delivered"
        )
        return SkippedRange(LossReason.OVERLONG, detail, raw[:SAMPLE_BYTES])
