"""The bytes of one file of the alert log, read forward: plain or compressed."""

from __future__ import annotations

import errno
import os
import stat
from gzip import BadGzipFile, GzipFile
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from zlib import error as ZlibError  # noqa: N812 — an exception should look like one

from producer.alertlog.cursor import HEAD_MAX_BYTES, MAX_CHECKSUM_BYTES, checksum_of, checksum_size, read_first_line

if TYPE_CHECKING:
    from collections.abc import Callable

_Kind = TypeVar("_Kind")

BLOCK_BYTES: Final = 256 * 1024
SAMPLE_BYTES: Final = 64 * 1024
SAMPLES: Final = 16
STEP_DIVISOR: Final = 512
"""Each time a read fails the step size is divided by this; the second reduction reaches one byte."""

Inode = tuple[int, int]
"""Device and inode."""


class FileReplaced(Exception):  # noqa: N818 — a state of the file, not a mistake
    """Raised when an open file was truncated or rewritten in place."""


class LogFile(Protocol):
    """An open file. Its fingerprint is made from `head`; `offset` is how far it has been read."""

    head: bytes
    offset: int
    before: bytes
    """After `seek`: the last bytes before `offset`, at most as many as a checksum covers."""
    read_error: str
    """Why nothing can be read beyond `offset`; empty if it can."""
    inode: Inode
    before_read: Callable[[], object]
    """Called before each block is read. It may raise, to end a search that takes too long."""

    def read(self, max_bytes: int) -> bytes:
        """Return up to `max_bytes` more; nothing at the end or at a damaged part. Raises FileReplaced."""

    def unread(self, size: int) -> bool:
        """Step back by `size` bytes if that is cheap. Return whether it did."""

    def seek(self, offset: int, checksum: str) -> bool:
        """Go to `offset`; return whether the bytes before it match `checksum` or, without one, end a line.

        Raises OSError.
        """

    def has_same_content(self, other: PlainLogFile) -> bool:
        """Say whether one of the two files begins with the other, as far as this one was read. Raises OSError.

        The files are compared at the start, right before the end of the shorter one and, where that is cheap, at a few
        offsets between. That is enough: log lines carry times, so files that differ somewhere differ from there on.
        """

    def end_of_lines(self) -> int:
        """Return the offset behind the last complete line. Raises OSError."""

    def close(self) -> None:
        """Close the file."""


def open_archive(path: str) -> GzipLogFile:
    """Open a compressed file. Raises OSError, also if it is not a regular file."""
    return _open(path, GzipLogFile)


def open_plain(path: str) -> PlainLogFile:
    """Open an uncompressed file. Raises OSError, also if it is not a regular file."""
    return _open(path, PlainLogFile)


def open_log_file(path: str, *, zipped: bool) -> LogFile:
    """Open a compressed or uncompressed file. Raises OSError, also if it is not a regular file."""
    return open_archive(path) if zipped else open_plain(path)


def _open(path: str, kind: Callable[[int], _Kind]) -> _Kind:
    # Without O_NONBLOCK, opening a named pipe would block until a process writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return kind(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _go_on() -> None:
    """Do not end the search."""


def _inode(descriptor: int) -> Inode:
    """Return the inode of a regular file; raise OSError for anything else."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_dev, status.st_ino


def _matches_checksum(before: bytes, offset: int, checksum: str) -> bool:
    """Say whether the bytes before `offset` match the checksum; without one, whether a line can start at `offset`."""
    if not checksum:
        return offset == 0 or before.endswith(b"\n")
    return checksum_of(before[-checksum_size(checksum) :]) == checksum


class PlainLogFile:
    """An uncompressed file. It may grow while it is read, and it may be emptied or cut."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.inode = _inode(descriptor)
        self.offset, self.read_error = 0, ""
        self.before_read: Callable[[], object] = _go_on
        self.read_head()

    def read_head(self) -> None:
        """Read the first line again, for a file that had no line when it was opened. Raises OSError."""
        self.head = read_first_line(self._take)
        self.offset, self.before = 0, b""
        self._seen, self._seen_to = b"", 0

    def read(self, max_bytes: int) -> bytes:
        """Read more bytes. Raises FileReplaced unless the head and the bytes before still match after the read."""
        self.before_read()
        try:
            size = os.fstat(self._descriptor).st_size
            data = self._take(min(max_bytes, size - self.offset)) if size > self.offset else b""
            head = os.pread(self._descriptor, len(self.head), 0)
            seen = self.peek(self._seen_to - len(self._seen), len(self._seen))
        except OSError as error:
            if error.errno == errno.ESTALE:  # NFS: the file must be opened again
                raise FileReplaced from None
            self.read_error = error.strerror or str(error)
            return b""
        self.read_error = ""
        if size < self.offset or head != self.head or seen != self._seen:
            raise FileReplaced
        if len(data) >= MAX_CHECKSUM_BYTES:
            self._seen, self._seen_to = data[-MAX_CHECKSUM_BYTES:], self.offset
        elif data:
            self._seen_to = self.offset
            self._seen = self.peek(max(0, self.offset - MAX_CHECKSUM_BYTES), min(self.offset, MAX_CHECKSUM_BYTES))
        return data

    def peek(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset` without moving the read offset. Raises OSError."""
        return os.pread(self._descriptor, size, offset)

    def size(self) -> int:
        """Return its current size in bytes. Raises OSError."""
        return os.fstat(self._descriptor).st_size

    def has_same_content(self, other: PlainLogFile) -> bool:
        """Compare samples of both files on the disk."""
        size = min(self.offset, other.size())
        offsets = {0, max(0, size - SAMPLE_BYTES), *range(0, size, max(SAMPLE_BYTES, size // SAMPLES))}
        return all(
            self.peek(offset, min(SAMPLE_BYTES, size - offset)) == other.peek(offset, min(SAMPLE_BYTES, size - offset))
            for offset in sorted(offsets)
        )

    def unread(self, size: int) -> bool:
        """Step back; the bytes are still on the disk."""
        self.offset -= size
        return True

    def _take(self, max_bytes: int) -> bytes:
        data = os.pread(self._descriptor, max_bytes, self.offset)
        self.offset += len(data)
        return data

    def seek(self, offset: int, checksum: str) -> bool:
        """Go to `offset` and verify the bytes before it: the file may have been truncated and written again."""
        self.offset = self._seen_to = offset
        self.before = self._seen = self.peek(max(0, offset - MAX_CHECKSUM_BYTES), min(offset, MAX_CHECKSUM_BYTES))
        return _matches_checksum(self.before, offset, checksum)

    def end_of_lines(self) -> int:
        """Search backwards for the last line end."""
        end = os.fstat(self._descriptor).st_size
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


class GzipLogFile:
    """A compressed file, whose content is final. Seeking backwards decompresses it from the start again."""

    def __init__(self, descriptor: int) -> None:
        self.inode, self._first = _inode(descriptor), b""
        self._descriptor = descriptor
        self._file = FileIO(descriptor, closefd=False)
        self.before_read: Callable[[], object] = _go_on
        self._restart()
        while self.offset < HEAD_MAX_BYTES and (more := self.read(HEAD_MAX_BYTES - self.offset)):
            self._first += more
        self.head = read_first_line(BytesIO(self._first).read)

    def _restart(self) -> None:
        self._file.seek(0)
        self._text = GzipFile(fileobj=self._file, mode="rb")
        self.offset, self.before, self.read_error, self._most = 0, b"", "", BLOCK_BYTES

    def read(self, max_bytes: int) -> bytes:
        """Read more bytes; of a damaged archive, everything before the damage is returned."""
        self.before_read()
        if self.read_error:
            return b""
        try:
            data = self._text.read1(min(max_bytes, self._most))
        except (EOFError, OSError, ZlibError) as error:
            if isinstance(error, ZlibError) and self._most > 1:
                return self._reread_in_smaller_steps(max_bytes)
            self.read_error = str(error)
            # zlib decompresses most damage into wrong text without an error; only the checksum at the end shows it.
            if isinstance(error, BadGzipFile) and self.read_error.startswith(("CRC", "Incorrect length")):
                self.read_error += "; any of its lines may have been altered"
            return b""
        self.offset += len(data)
        self.before = (
            data[-MAX_CHECKSUM_BYTES:]
            if len(data) >= MAX_CHECKSUM_BYTES
            else (self.before + data)[-MAX_CHECKSUM_BYTES:]
        )
        return data

    def _reread_in_smaller_steps(self, max_bytes: int) -> bytes:
        """Approach the damage in smaller steps, at last of one byte: zlib returns nothing of a step that fails."""
        at, most = self.offset, self._most // STEP_DIVISOR
        self.seek(at, "")
        self._most = most
        return self.read(max_bytes)

    def unread(self, _size: int) -> bool:
        """Refuse: stepping back would decompress the file from the start."""
        return False

    def seek(self, offset: int, checksum: str) -> bool:
        """Decompress up to `offset`; if damage comes before it, the bytes cannot be verified and count as matching."""
        self._restart()
        while self.offset < offset and self.read(min(BLOCK_BYTES, offset - self.offset)):
            pass
        return bool(self.read_error) or (self.offset == offset and _matches_checksum(self.before, offset, checksum))

    def has_same_content(self, other: PlainLogFile) -> bool:
        """Compare with the bytes in memory; decompress again only for a shorter file with the same beginning."""
        at, size = self.offset, min(self.offset, other.size())
        first = self._first[:size]
        begins_alike = other.peek(0, len(first)) == first
        if not begins_alike or len(first) == size:
            return begins_alike
        if size < at:
            self.seek(size, "")
        is_same = other.peek(size - len(self.before), len(self.before)) == self.before
        if size < at:
            self.seek(at, "")
        return is_same

    def end_of_lines(self) -> int:
        """Decompress the whole file and return the offset behind its last line end."""
        self._restart()
        end = 0
        while more := self.read(BLOCK_BYTES):
            newline = more.rfind(b"\n")
            end = self.offset - len(more) + newline + 1 if newline >= 0 else end
        return end

    def close(self) -> None:
        """Close the descriptor."""
        self._text.close()
        self._file.close()
        os.close(self._descriptor)
