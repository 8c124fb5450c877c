"""Estimates how far a reader is behind the end of the log, for status and metrics only.

It runs once a second for each distinct cursor: the files are cached, and it reads the start of one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.timestamps import written_at_s
from producer.alertlog import rotation
from producer.alertlog.cursor import NO_FILE_YET
from producer.source import Lag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.alertlog.cursor import Cursor
    from producer.alertlog.directory import FileInfo

PEEK_BYTES: Final = 4096
"""Enough of a line to find its time, which the manager writes first."""


def lag(cursor: Cursor, files: Sequence[FileInfo], now_s: float) -> Lag:
    """Return how far `cursor` is behind; `files` are those at or after it, oldest first."""
    ours = next(iter(rotation.copies_of(files, cursor)), None)
    own = max(0, ours.length() - cursor.offset) if ours else 0
    later = _behind(files, cursor, ours)
    size = own + sum(file.length() for file in later)
    if not size:
        return Lag(0, 0.0)
    next_file, offset = (ours, cursor.offset) if ours and own else (later[0], 0)
    written_s = _written_at_s(next_file, offset)
    return Lag(size, max(0.0, now_s - written_s) if written_s else 0.0)


def _behind(files: Sequence[FileInfo], cursor: Cursor, ours: FileInfo | None) -> list[FileInfo]:
    """Return the files after that of `cursor`, each content once: the current file has two names."""
    if cursor.file == NO_FILE_YET:
        candidates = [file for file in files if file.current or file.modified_at_s >= cursor.offset]
    else:
        candidates = rotation.files_after(files, cursor)
    own = rotation.copies_of(files, cursor) if ours else []
    others = (file for file in candidates if file.fingerprint and file not in own)
    return list({(file.fingerprint, file.dated): file for file in others}.values())


def _written_at_s(file: FileInfo, offset: int) -> float | None:
    """Return when the line at `offset` was written; for a compressed file, when its first line was."""
    if not file.zipped:
        try:
            with open(file.path, "rb") as plain:  # noqa: PTH123 — as above
                plain.seek(offset)
                return written_at_s(plain.read(PEEK_BYTES))
        except OSError:
            return None
    return int(file.fingerprint[:8], 16) or None
