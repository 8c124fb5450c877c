"""One place in one file: takes blocks of bytes and gives complete lines, in bounded memory.

A reader keeps what it handed out last, so that whoever has taken only a part of it can go on in the middle without a
compressed file being decompressed from its start again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from producer.alertlog.content import BLOCK_BYTES
from producer.alertlog.position import fingerprint
from producer.lines import Block, Lines
from producer.source import Loss, Passed

if TYPE_CHECKING:
    from producer.alertlog.content import Content

SAMPLE_BYTES: Final = 200
SKIP_BYTES: Final = 64 * 1024 * 1024
"""So much of an over-long line is passed over in one read, so that nobody waits long for its end."""

LITTLE_BYTES: Final = 16 * 1024
"""So much is rather read again than copied; nearly every line is shorter."""


class Chunk(NamedTuple):
    """What one read gave. `end` is the offset behind it; `at_end`: there was nothing after it."""

    lines: Lines
    end: int
    at_end: bool
    passed: tuple[Passed, ...] = ()


class Reader:
    """Reads an open file in order from the line that starts at the content's `at`. `path` is for people."""

    def __init__(self, content: Content, path: str, max_line_bytes: int) -> None:
        self.content, self.path = content, path
        self.file = fingerprint(content.head)
        self.waited_at_s = 0.0
        """When we last waited at its end, and so saw whatever came next."""
        self._max_line_bytes = max_line_bytes
        self._held, self._held_at = b"", content.at
        self._long: tuple[int, bytes] | None = None
        """Start and first bytes of the over-long line that we are in the middle of."""

    def serves(self, file: str, offset: int) -> bool:
        """Say whether it can read on from there without going back in the file."""
        if self._long:
            return file == self.file and offset == self._long[0]
        return file == self.file and self._held_at <= offset <= self._held_at + len(self._held)

    def read(self, offset: int, max_bytes: int) -> Chunk:
        """Return complete lines from `offset` on, which it `serves`: about `max_bytes`, or one line. Raises Changed."""
        if self._long:
            return self._skip(*self._long)
        at_end = self._fill(offset, max_bytes)
        size = self._held.rfind(b"\n") + 1
        if size:
            lines, passed = self._lines(size)
            return Chunk(lines, offset + size, at_end and size == len(self._held), passed)
        if len(self._held) > self._max_line_bytes:
            self._long, self._held = (offset, self._held[:SAMPLE_BYTES]), b""
            return self._skip(*self._long)
        return Chunk(Lines(), offset, at_end)

    def rest(self, offset: int) -> bytes:
        """Return how the half-written line behind `offset` begins, if there is one."""
        return self._long[1] if self._long else self._held[offset - self._held_at :][:SAMPLE_BYTES]

    def _fill(self, offset: int, max_bytes: int) -> bool:
        """Hold what follows `offset`: `max_bytes`, or more until a line is complete or too long. Say if that is all."""
        pieces = [self._held[offset - self._held_at :]]
        # To read the half line again with its other half is cheaper than to copy everything behind it.
        if len(pieces[0]) < LITTLE_BYTES and self.content.back(len(pieces[0])):
            pieces = [b""]
        size, complete, at_end = len(pieces[0]), b"\n" in pieces[0], False
        while not at_end and (size < max_bytes if complete else size <= self._max_line_bytes):
            piece = self.content.read(max(max_bytes - size, BLOCK_BYTES))
            pieces.append(piece)
            size, complete, at_end = size + len(piece), complete or b"\n" in piece, not piece
        self._held, self._held_at = b"".join(filter(None, pieces)), offset  # a single piece is not copied
        return at_end

    def _lines(self, size: int) -> tuple[Lines, tuple[Passed, ...]]:
        """Make lines of the first `size` bytes that are held. A carriage return stays: JSON takes it as a blank."""
        block = Block(self._held, size, self.file, self._held_at)
        longest = self._max_line_bytes
        if size <= longest:
            return block, ()
        passed = tuple(self._overlong(line.raw, line.start, line.end) for line in block if len(line.raw) > longest)
        return (Lines([line for line in block if len(line.raw) <= longest]), passed) if passed else (block, ())

    def _skip(self, start: int, sample: bytes) -> Chunk:
        """Go on to the end of the over-long line; hold nothing of it."""
        enough = self.content.at + SKIP_BYTES
        while self.content.at < enough:
            block = self.content.read(BLOCK_BYTES)
            newline = block.find(b"\n")
            if newline >= 0:
                end = self.content.at - len(block) + newline + 1
                self._long, self._held, self._held_at = None, block[newline + 1 :], end
                return Chunk(Lines(), end, at_end=False, passed=(self._overlong(sample, start, end),))
            if not block:
                return Chunk(Lines(), start, at_end=True)
        return Chunk(Lines(), start, at_end=False)

    def _overlong(self, raw: bytes, start: int, end: int) -> Passed:
        size = end - start - 1
        detail = (
            f"{self.path}: the line at byte {start} has {size} bytes, more than producer.max_line"
            f" ({self._max_line_bytes}); raise that setting to have such lines delivered"
        )
        return Passed(Loss.OVERLONG, detail, raw[:SAMPLE_BYTES])
