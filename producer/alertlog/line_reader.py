"""Reads one file and splits blocks of bytes into complete lines, in bounded memory.

A reader keeps the last block that it returned. A caller that used only a part of it can continue in the middle, and a
compressed file is not decompressed from its start again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from producer.alertlog.cursor import MAX_CHECKSUM_BYTES, Cursor, checksum_of, line_checksum, suffix
from producer.alertlog.log_file import BLOCK_BYTES
from producer.alertlog.log_lines import LineBuffer, LogLine, LogLines
from producer.source import LossReason, SkippedRange

if TYPE_CHECKING:
    from producer.alertlog.cursor import FileDate
    from producer.alertlog.log_file import LogFile

SAMPLE_BYTES: Final = 200
MAX_SKIP_BYTES: Final = 64 * 1024 * 1024
"""One read skips at most this much of an oversized line, so that a read never takes long."""

REREAD_BELOW_BYTES: Final = 16 * 1024
"""Below this, reading the bytes again is cheaper than copying them; nearly every line is shorter."""


class Chunk(NamedTuple):
    """The result of one read: `end` is the offset behind the lines, `checksum` that of a cursor there.

    `at_end` says whether the file had nothing more.
    """

    lines: LogLines
    end: int
    at_end: bool
    skipped: tuple[SkippedRange, ...] = ()
    checksum: str = ""


class LineReader:
    """Reads an open file in order, from the line that starts at `content.offset`. `path` is used in messages only.

    `file` and `name` are the file id and dated name of its cursors.
    """

    def __init__(self, content: LogFile, path: str, max_line_bytes: int, file: str, name: FileDate | None) -> None:
        self.content, self.path, self.file, self.name = content, path, file, name
        self.waited_at_s = 0.0
        """When the end was last reached and the next file was looked up; in seconds since 1970."""
        self._max_line_bytes = max_line_bytes
        self._buffer, self._buffer_offset = b"", content.offset
        self._before = content.before
        """The last bytes before the buffer, at most as many as a checksum covers."""
        self._oversized: tuple[int, bytes] | None = None
        """Start and first bytes of the oversized line that is being skipped."""

    def can_continue_at(self, cursor: Cursor) -> bool:
        """Say whether it can continue at `cursor` without seeking backwards in the file."""
        if cursor.file != self.file or (cursor.name and cursor.name != self.name):
            return False
        if self._oversized:
            return cursor.offset == self._oversized[0]
        return self._buffer_offset <= cursor.offset <= self._buffer_offset + len(self._buffer)

    def read(self, offset: int, max_bytes: int) -> Chunk:
        """Return complete lines from `offset` on: about `max_bytes`, or one line. It must be able to continue there.

        Raises FileReplaced.
        """
        if self._oversized:
            return self._skip(*self._oversized)
        at_end = self._fill(offset, max_bytes)
        size = self._buffer.rfind(b"\n") + 1
        if size:
            lines, skipped = self._lines(size)
            return Chunk(lines, offset + size, at_end and size == len(self._buffer), skipped, self._checksum(size))
        if len(self._buffer) > self._max_line_bytes:
            self._oversized, self._before = (offset, self._buffer[:SAMPLE_BYTES]), self._buffer[-MAX_CHECKSUM_BYTES:]
            self._buffer = b""
            return self._skip(*self._oversized)
        return Chunk(LogLines(), offset, at_end)

    def partial_line(self, offset: int) -> LogLine:
        """Return the line at `offset` that has no line end; of an oversized one, only its beginning."""
        raw = self._oversized[1] if self._oversized else self._buffer[offset - self._buffer_offset :]
        return LogLine(raw, self.file, offset, offset + len(raw), self._suffix)

    def _suffix(self, before: bytes) -> str:
        """Return the part after the offset in the cursor behind a line."""
        return suffix(checksum_of(before), self.name)

    def _checksum(self, size: int) -> str:
        """Return the checksum of the cursor behind the first `size` bytes of the buffer.

        It covers the last line. Oversized lines can begin alike, so behind such a line it covers more.
        """
        before = (self._before + self._buffer[max(0, size - MAX_CHECKSUM_BYTES) : size])[-MAX_CHECKSUM_BYTES:]
        length = size - self._buffer.rfind(b"\n", 0, size - 1) - 2
        return line_checksum(before) if length <= self._max_line_bytes else checksum_of(before)

    def cursor_at(self, offset: int) -> Cursor:
        """Seek to `offset` and return the cursor there. Raises OSError."""
        self.content.seek(offset, "")
        self._buffer, self._buffer_offset, self._before = b"", offset, self.content.before
        return Cursor(self.file, offset, line_checksum(self._before), self.name)

    def _fill(self, offset: int, max_bytes: int) -> bool:
        """Fill the buffer from `offset`: `max_bytes`, or more until a line is complete or too long.

        Return whether the file has nothing more.
        """
        self._go_to(offset)
        pieces = [self._buffer]
        # Reading the partial line again together with its rest is cheaper than copying everything behind it.
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
        """Drop the part of the buffer before `offset`."""
        size = offset - self._buffer_offset
        if size:
            self._before = (self._before + self._buffer[max(0, size - MAX_CHECKSUM_BYTES) : size])[-MAX_CHECKSUM_BYTES:]
            self._buffer, self._buffer_offset = self._buffer[size:], offset

    def _lines(self, size: int) -> tuple[LogLines, tuple[SkippedRange, ...]]:
        """Split the first `size` bytes of the buffer into lines. A carriage return stays: in JSON it is white space."""
        block = LineBuffer(self._buffer, size, self.file, self._buffer_offset, self._suffix)
        longest = self._max_line_bytes
        if size <= longest:
            return block, ()
        skipped = tuple(self._overlong(line.raw, line.start, line.end) for line in block if len(line.raw) > longest)
        return (LogLines([line for line in block if len(line.raw) <= longest]), skipped) if skipped else (block, ())

    def _skip(self, start: int, sample: bytes) -> Chunk:
        """Skip to the end of the oversized line without keeping it in memory."""
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
                skipped = (self._overlong(sample, start, end),)
                return Chunk(LogLines(), end, at_end=False, skipped=skipped, checksum=checksum_of(self._before))
            if not block:
                return Chunk(LogLines(), start, at_end=True)
            self._before = (self._before + block[-MAX_CHECKSUM_BYTES:])[-MAX_CHECKSUM_BYTES:]
        return Chunk(LogLines(), start, at_end=False)

    def _overlong(self, raw: bytes, start: int, end: int) -> SkippedRange:
        size = end - start - 1
        detail = (
            f"{self.path}: the line at byte {start} has {size} bytes, more than producer.max_line"
            f" ({self._max_line_bytes}); raise that setting to deliver such lines"
        )
        return SkippedRange(LossReason.OVERLONG, detail, raw[:SAMPLE_BYTES])
