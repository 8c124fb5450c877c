"""A place in the alert log: which file, how far into it, and what stands right before.

A cursor has to find its file again when that was renamed, compressed, copied or restored, and must not take another
file for it. Three things tell files apart, and two files are the same only if none of them differs:

    fingerprint  the first line's time and a digest of the line. Files can share it: `echo > alerts.json` leaves an
                 empty first line on any day
    name         the day and part in the file's dated name, which compression keeps; an `alerts.json` may have none
    seal         a checksum of the bytes right before the offset: it shows that a file was cut and written again

A cursor is `FINGERPRINT:OFFSET:SEAL:NAME`. In version 0.1 it was `FINGERPRINT:OFFSET`, and it may still be.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from common.timestamps import written_at_s

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_MAX_BYTES: Final = 64 * 1024
"""A first line counts with so many bytes of it: one that is longer has a fingerprint as well, and before it ends."""

MAX_CHECKSUM_BYTES: Final = 4096
"""A seal covers at most so much."""

NO_FILE_YET: Final = "new"
"""Stands for the file in a cursor that was made when there was no line at all. Its offset is the time, in seconds since
1970, from which on dated files are new; `alerts.json` always is."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{20}")
_CHECKSUM: Final = re.compile(r"[0-9a-f]{1,4}-[0-9a-f]{8}")
_NAME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.([0-9]{1,6}))?")
_FORMAT: Final = rf"{_FINGERPRINT.pattern}:[0-9]{{1,18}}"
_CURSOR: Final = re.compile(
    rf"{_FORMAT}(?::(?:{_CHECKSUM.pattern})?:(?:{_NAME.pattern})?)?|{NO_FILE_YET}:[0-9]{{1,11}}"
)
"""No file is longer, and no system call takes a later time."""
_HEAD_STEP_BYTES: Final = 4096
_MAX_TIME_S: Final = 2**32 - 1
_NO_TIME: Final = "0" * 8


class FileDate(NamedTuple):
    """What a dated file is called, in the order in which they were written. `str()` is its form in a cursor."""

    day: date
    part: int

    def __str__(self) -> str:
        return f"{self.day}.{self.part}" if self.part else str(self.day)

    @classmethod
    def parse(cls, text: str) -> FileDate | None:
        """Read what `str()` made; nothing if it is no name."""
        found = _NAME.fullmatch(text)
        try:
            return cls(date.fromisoformat(found[1]), int(found[2] or 0)) if found else None
        except ValueError:
            return None


class Cursor(NamedTuple):
    """Where to read on: `offset` bytes into the (uncompressed) file with this mark. `str()` is the cursor.

    `seal` is empty at the start of a file, and in the cursors of former versions; `name` is that of a dated file.
    """

    file: str
    offset: int
    checksum: str = ""
    name: FileDate | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}{suffix(self.checksum, self.name)}"

    @classmethod
    def parse(cls, cursor: str) -> Cursor:
        """Read a cursor. A text that is none becomes a place in a file that nobody has."""
        if not _CURSOR.fullmatch(cursor):
            return cls(f"?{cursor}", 0)
        file, offset, seal, name = (*cursor.split(":"), "", "")[:4]
        return cls(file, int(offset), seal, FileDate.parse(name))

    @property
    def first_line_at_s(self) -> int:
        """When the file's first line was written, in seconds since 1970; 0 if unknown. Of NEW, its offset."""
        if self.file == NO_FILE_YET:
            return self.offset
        return int(self.file[:8], 16) if _FINGERPRINT.fullmatch(self.file) else 0

    @property
    def since(self) -> date:
        """The earliest day whose files may matter here."""
        if self.name:
            return min(self.name.day, earliest_day(self.first_line_at_s)) if self.first_line_at_s else self.name.day
        return earliest_day(self.first_line_at_s)


def suffix(seal: str, name: FileDate | None) -> str:
    """Return what follows the offset in a cursor."""
    return f":{seal}:{name or ''}" if seal or name else ""


def checksum_of(before: bytes) -> str:
    """Return the seal of a place whose bytes before it end like this: how many it covers, and their CRC-32."""
    covered = before[-MAX_CHECKSUM_BYTES:]
    return f"{len(covered):x}-{crc32(covered):08x}" if covered else ""


def line_checksum(before: bytes) -> str:
    """Return the seal of a place behind a line: of this line alone, unless it is blank."""
    line = before[before.rfind(b"\n", 0, max(0, len(before) - 1)) + 1 :]
    return checksum_of(before if line.isspace() else line)


def checksum_size(text: str) -> int:
    """Return how many bytes a seal covers."""
    return int(text.partition("-")[0], 16) if text else 0


def fingerprint(head: bytes) -> str:
    """Return 20 hex digits for a file's head: 8 for its time in seconds (0 if it has none), 12 for its content."""
    return f"{min(max(int(written_at_s(head) or 0), 0), _MAX_TIME_S):08x}{blake2b(head, digest_size=6).hexdigest()}"


def has_time(mark: str) -> bool:
    """Say whether a fingerprint is that of a line with a time."""
    return not mark.startswith(_NO_TIME)


def dated_file_id(mark: str, name: FileDate) -> str:
    """Return the mark of a file that has its fingerprint in common with others: in delivery ids they must differ."""
    return f"{mark[:8]}{blake2b(f'{mark} {name}'.encode(), digest_size=6).hexdigest()}"


def read_first_line(read: Callable[[int], bytes]) -> bytes:
    """Return a file's first line with its line end, or as much of it as counts; without line end if it has none yet.

    `read(n)` returns the next up to n bytes, none at the end of the file.
    """
    head = bytearray()
    while len(head) < HEAD_MAX_BYTES and b"\n" not in head:
        more = read(min(_HEAD_STEP_BYTES, HEAD_MAX_BYTES - len(head)))
        if not more:
            break
        head += more
    return bytes(head[: head.find(b"\n") + 1] if b"\n" in head else head)


def is_complete_head(head: bytes) -> bool:
    """Say whether a head is all that will ever count: a line with its end, or as much of a long one as counts."""
    return head.endswith(b"\n") or len(head) >= HEAD_MAX_BYTES


def earliest_day(time_s: float) -> date:
    """Return the earliest local date, anywhere on earth, at `time_s`; the first of all days if that is 0."""
    return datetime.fromtimestamp(time_s, UTC).date() - timedelta(days=1) if time_s > 0 else date.min
