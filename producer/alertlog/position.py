"""A place in the alert log: a fingerprint and a byte offset, so that it outlives inodes, names and compression.

The fingerprint of a file is made from its first line. It begins with that line's time, so that even when the file is
gone the cursor still says which files are later.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from common.timestamps import written_at_s

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_MAX_BYTES: Final = 64 * 1024
"""A first line counts with so many bytes of it: one that is longer has a fingerprint as well, and before it ends."""

NEW: Final = "new"
"""Stands for the file in a cursor that was made when there was no line at all. Its offset is the time, in seconds since
1970, from which on dated files are new; `alerts.json` always is."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{20}")
_CURSOR: Final = re.compile(rf"{_FINGERPRINT.pattern}:[0-9]{{1,18}}|{NEW}:[0-9]{{1,11}}")
"""No file is longer, and no system call takes a later time."""
_HEAD_STEP_BYTES: Final = 4096
_LATEST_S: Final = 2**32 - 1


class Place(NamedTuple):
    """Where to read on: `offset` bytes into the (uncompressed) file with this fingerprint. `str()` is the cursor."""

    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"

    @classmethod
    def parse(cls, cursor: str) -> Place:
        """Read a cursor. A text that is none becomes a place in a file that nobody has."""
        file, _, offset = cursor.rpartition(":")
        return cls(file, int(offset)) if _CURSOR.fullmatch(cursor) else cls(f"?{cursor}", 0)

    @property
    def began_at_s(self) -> int:
        """When the file's first line was written, in seconds since 1970; 0 if unknown. Of NEW, its offset."""
        if self.file == NEW:
            return self.offset
        return int(self.file[:8], 16) if _FINGERPRINT.fullmatch(self.file) else 0


def fingerprint(head: bytes) -> str:
    """Return 20 hex digits for a file's head: 8 for its time in seconds (0 if it has none), 12 for its content."""
    return f"{min(max(int(written_at_s(head) or 0), 0), _LATEST_S):08x}{blake2b(head, digest_size=6).hexdigest()}"


def read_head(read: Callable[[int], bytes]) -> bytes:
    """Return a file's first line with its line end, or as much of it as counts; nothing while it is half-written.

    `read(n)` returns the next up to n bytes, none at the end of the file.
    """
    head = bytearray()
    while len(head) < HEAD_MAX_BYTES and b"\n" not in head:
        more = read(min(_HEAD_STEP_BYTES, HEAD_MAX_BYTES - len(head)))
        if not more:
            return b""
        head += more
    return bytes(head[: head.find(b"\n") + 1] if b"\n" in head else head)


def earliest_day(time_s: float) -> date:
    """Return the earliest local date, anywhere on earth, at `time_s`; the first of all days if that is 0."""
    return datetime.fromtimestamp(time_s, UTC).date() - timedelta(days=1) if time_s > 0 else date.min
