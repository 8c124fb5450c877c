"""A cursor in the alert log: the file, the offset in it, and a checksum of the bytes before the offset.

A cursor must find its file again after the file was renamed, compressed, copied or restored, and must not mistake
another file for it. Three properties identify a file; two files are the same only if all of them agree:

    fingerprint  the first line's time and a digest of the line. Files can share it: `echo > alerts.json` leaves an
                 empty first line on any day
    name         the day and part in the file's dated name, which compression keeps; an `alerts.json` may have none
    checksum     of the bytes right before the offset: it shows that a file was truncated and written again

A cursor is `FINGERPRINT:OFFSET:CHECKSUM:NAME`. Version 0.1 wrote `FINGERPRINT:OFFSET`, which is still accepted.
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
"""A fingerprint covers at most this much of the first line, so that a longer line has one before it is complete."""

MAX_CHECKSUM_BYTES: Final = 4096
"""A checksum covers at most this many bytes."""

NO_FILE_YET: Final = "new"
"""Used instead of a file id in a cursor that was made when the log had no line. Its offset is a time, in seconds since
1970: dated files that changed at or after it are new; `alerts.json` always is."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{20}")
_CHECKSUM: Final = re.compile(r"[0-9a-f]{1,4}-[0-9a-f]{8}")
_NAME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\.([0-9]{1,6}))?")
_FORMAT: Final = rf"{_FINGERPRINT.pattern}:[0-9]{{1,18}}"
_CURSOR: Final = re.compile(
    rf"{_FORMAT}(?::(?:{_CHECKSUM.pattern})?:(?:{_NAME.pattern})?)?|{NO_FILE_YET}:[0-9]{{1,11}}"
)
"""The digits are limited because no file is longer and no system call accepts a later time."""
_HEAD_STEP_BYTES: Final = 4096
_MAX_TIME_S: Final = 2**32 - 1
_NO_TIME: Final = "0" * 8


class FileDate(NamedTuple):
    """The day and part in a dated file's name; they sort in the order of writing. `str()` is its form in a cursor."""

    day: date
    part: int

    def __str__(self) -> str:
        return f"{self.day}.{self.part}" if self.part else str(self.day)

    @classmethod
    def parse(cls, text: str) -> FileDate | None:
        """Parse the output of `str()`; return None if the text is not a name."""
        found = _NAME.fullmatch(text)
        try:
            return cls(date.fromisoformat(found[1]), int(found[2] or 0)) if found else None
        except ValueError:
            return None


class Cursor(NamedTuple):
    """A position in the log: `offset` bytes into the (uncompressed) file with the id `file`. `str()` is its text form.

    `checksum` is empty at the start of a file and in cursors of version 0.1; `name` is that of a dated file.
    """

    file: str
    offset: int
    checksum: str = ""
    name: FileDate | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}{suffix(self.checksum, self.name)}"

    @classmethod
    def parse(cls, cursor: str) -> Cursor:
        """Parse a cursor. An invalid text becomes a cursor for a file that does not exist, so it never raises."""
        if not _CURSOR.fullmatch(cursor):
            return cls(f"?{cursor}", 0)
        file, offset, checksum, name = (*cursor.split(":"), "", "")[:4]
        return cls(file, int(offset), checksum, FileDate.parse(name))

    @property
    def first_line_at_s(self) -> int:
        """When the file's first line was written, in seconds since 1970; 0 if unknown. For NO_FILE_YET, its offset."""
        if self.file == NO_FILE_YET:
            return self.offset
        return int(self.file[:8], 16) if _FINGERPRINT.fullmatch(self.file) else 0

    @property
    def since(self) -> date:
        """The earliest day whose files can come at or after this cursor."""
        if self.name:
            return min(self.name.day, earliest_day(self.first_line_at_s)) if self.first_line_at_s else self.name.day
        return earliest_day(self.first_line_at_s)


def suffix(checksum: str, name: FileDate | None) -> str:
    """Return the part of a cursor after the offset; empty if it has neither checksum nor name."""
    return f":{checksum}:{name or ''}" if checksum or name else ""


def checksum_of(before: bytes) -> str:
    """Return the checksum of a cursor that follows these bytes: how many bytes it covers, and their CRC-32."""
    covered = before[-MAX_CHECKSUM_BYTES:]
    return f"{len(covered):x}-{crc32(covered):08x}" if covered else ""


def line_checksum(before: bytes) -> str:
    """Return the checksum of a cursor behind a line: of the last line only, or of more if that line is blank."""
    line = before[before.rfind(b"\n", 0, max(0, len(before) - 1)) + 1 :]
    return checksum_of(before if line.isspace() else line)


def checksum_size(text: str) -> int:
    """Return how many bytes a checksum covers."""
    return int(text.partition("-")[0], 16) if text else 0


def fingerprint(head: bytes) -> str:
    """Return 20 hex digits for a file's first line: 8 for its time in seconds (0 if none), 12 for its content."""
    return f"{min(max(int(written_at_s(head) or 0), 0), _MAX_TIME_S):08x}{blake2b(head, digest_size=6).hexdigest()}"


def has_time(file_id: str) -> bool:
    """Say whether a fingerprint is that of a line with a time."""
    return not file_id.startswith(_NO_TIME)


def dated_file_id(file_id: str, name: FileDate) -> str:
    """Return the id of a file that shares its fingerprint with others: in delivery ids they must differ."""
    return f"{file_id[:8]}{blake2b(f'{file_id} {name}'.encode(), digest_size=6).hexdigest()}"


def read_first_line(read: Callable[[int], bytes]) -> bytes:
    """Return a file's first line, at most HEAD_MAX_BYTES of it; without a line end if the line is not complete yet.

    `read(n)` returns up to n more bytes, and none at the end of the file.
    """
    head = bytearray()
    while len(head) < HEAD_MAX_BYTES and b"\n" not in head:
        more = read(min(_HEAD_STEP_BYTES, HEAD_MAX_BYTES - len(head)))
        if not more:
            break
        head += more
    return bytes(head[: head.find(b"\n") + 1] if b"\n" in head else head)


def is_complete_head(head: bytes) -> bool:
    """Say whether a head is final: a line with its line end, or HEAD_MAX_BYTES of a longer one."""
    return head.endswith(b"\n") or len(head) >= HEAD_MAX_BYTES


def earliest_day(time_s: float) -> date:
    """Return the earliest local date in any time zone at `time_s`; `date.min` if that is 0."""
    return datetime.fromtimestamp(time_s, UTC).date() - timedelta(days=1) if time_s > 0 else date.min
