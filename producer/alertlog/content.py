"""The bytes of one file of the alert log, read forward: plain or compressed."""

from __future__ import annotations

import errno
import os
import stat
from gzip import BadGzipFile, GzipFile
from io import FileIO
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from zlib import error as ZlibError  # noqa: N812 — an exception should look like one

from producer.alertlog.position import read_head

if TYPE_CHECKING:
    from collections.abc import Callable

_Kind = TypeVar("_Kind")

BLOCK_BYTES: Final = 256 * 1024
CLOSER: Final = 512
"""So much smaller are the steps each time; the second ones are of one byte."""

Inode = tuple[int, int]
"""Device and inode."""


class Changed(Exception):  # noqa: N818 — a state of the file, not a mistake
    """Raised when an open file no longer is what it was: emptied or written anew in place."""


class Content(Protocol):
    """An open file. `head` is what its fingerprint is made from, `at` how far it has been read."""

    head: bytes
    at: int
    damage: str
    """Why nothing can be read beyond `at`, if so."""
    inode: Inode

    def read(self, max_bytes: int) -> bytes:
        """Return up to `max_bytes` more, none at the end or where it is damaged. Raises Changed."""

    def back(self, size: int) -> bool:
        """Have the last `size` bytes read again next, where that costs next to nothing. Say whether they will be."""

    def seek(self, offset: int) -> bool:
        """Go to the line that starts at `offset`; say whether one may start there. Raises OSError."""

    def end_of_lines(self) -> int:
        """Return the offset behind the last complete line. Raises OSError."""

    def close(self) -> None:
        """Let go of the file."""


def open_archive(path: str) -> Archive:
    """Open a compressed file. Raises OSError; what is no regular file is refused as well."""
    return _open(path, Archive)


def open_plain(path: str) -> Plain:
    """Open an uncompressed file; the same."""
    return _open(path, Plain)


def open_content(path: str, *, zipped: bool) -> Content:
    """Open either."""
    return open_archive(path) if zipped else open_plain(path)


def _open(path: str, kind: Callable[[int], _Kind]) -> _Kind:
    # Without O_NONBLOCK a pipe at this path would hold us up until somebody writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return kind(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _inode(descriptor: int) -> Inode:
    """Return the inode of a regular file; refuse anything else."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_dev, status.st_ino


class Plain:
    """An uncompressed file. It may grow while it is read, and it may be emptied or cut."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.inode = _inode(descriptor)
        self.at, self.damage = 0, ""
        self.read_head()

    def read_head(self) -> None:
        """Take the head anew, for a file that had no line when it was opened. Raises OSError."""
        self.head = read_head(self._take)
        self.at = 0

    def read(self, max_bytes: int) -> bytes:
        """Read on; what was read belongs to the same file as the head that is still there afterwards."""
        try:
            size = os.fstat(self._descriptor).st_size
            data = self._take(min(max_bytes, size - self.at)) if size > self.at else b""
            head = os.pread(self._descriptor, len(self.head), 0)
        except OSError as error:
            if error.errno == errno.ESTALE:  # NFS: it has to be opened again
                raise Changed from None
            self.damage = error.strerror or str(error)
            return b""
        self.damage = ""
        if size < self.at or head != self.head:
            raise Changed
        return data

    def back(self, size: int) -> bool:
        """Go back."""
        self.at -= size
        return True

    def _take(self, max_bytes: int) -> bytes:
        data = os.pread(self._descriptor, max_bytes, self.at)
        self.at += len(data)
        return data

    def seek(self, offset: int) -> bool:
        """Go there if a line ends right before: this need not be true of a file that was cut and has grown again."""
        self.at = offset
        return offset == 0 or os.pread(self._descriptor, 1, offset - 1) == b"\n"

    def end_of_lines(self) -> int:
        """Look for the last line end backwards."""
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


class Archive:
    """A compressed file, whose content is final. Going back means to decompress it from the start."""

    def __init__(self, descriptor: int) -> None:
        self.inode = _inode(descriptor)
        self._descriptor = descriptor
        self._file = FileIO(descriptor, closefd=False)
        self._restart()
        self.head = read_head(self.read)

    def _restart(self) -> None:
        self._file.seek(0)
        self._text = GzipFile(fileobj=self._file, mode="rb")
        self.at, self.damage, self._most = 0, "", BLOCK_BYTES

    def read(self, max_bytes: int) -> bytes:
        """Read on; of a damaged archive everything before the damage is had."""
        if self.damage:
            return b""
        try:
            data = self._text.read1(min(max_bytes, self._most))
        except (EOFError, OSError, ZlibError) as error:
            if isinstance(error, ZlibError) and self._most > 1:
                return self._closer(max_bytes)
            self.damage = str(error)
            # The sums come last. Most damage is decompressed without complaint into other text, and only they tell.
            if isinstance(error, BadGzipFile) and self.damage.startswith(("CRC", "Incorrect length")):
                self.damage += "; any of its lines may have been altered"
            return b""
        self.at += len(data)
        return data

    def _closer(self, max_bytes: int) -> bytes:
        """Come to the damage in smaller steps, at last of one byte: of the step that fails, zlib gives nothing."""
        at, most = self.at, self._most // CLOSER
        self._restart()
        self.seek(at)
        self._most = most
        return self.read(max_bytes)

    def back(self, _size: int) -> bool:
        """Stay: what was decompressed has to be kept."""
        return False

    def seek(self, offset: int) -> bool:
        """Decompress up to there; in front of damage there is no telling, so that counts as right."""
        if offset < self.at:
            self._restart()
        last = b"\n"
        while self.at < offset and (more := self.read(min(BLOCK_BYTES, offset - self.at))):
            last = more[-1:]
        return bool(self.damage) or (self.at == offset and last == b"\n")

    def end_of_lines(self) -> int:
        """Decompress all of it."""
        self._restart()
        end = 0
        while more := self.read(BLOCK_BYTES):
            newline = more.rfind(b"\n")
            end = self.at - len(more) + newline + 1 if newline >= 0 else end
        return end

    def close(self) -> None:
        """Close the descriptor."""
        self._text.close()
        self._file.close()
        os.close(self._descriptor)
