"""How far behind a reader is: for people and metrics, so an honest estimate is enough and nothing is decided by it.

Once a second for each place where somebody stands: the files are known already, one line is looked at.
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


def lag(place: Cursor, files: Sequence[FileInfo], now_s: float) -> Lag:
    """Return how far `place` is behind; `files` are those that may matter, the oldest first."""
    ours = next(iter(rotation.copies_of(files, place)), None)
    own = max(0, ours.length() - place.offset) if ours else 0
    later = _behind(files, place, ours)
    size = own + sum(file.length() for file in later)
    if not size:
        return Lag(0, 0.0)
    next_file, offset = (ours, place.offset) if ours and own else (later[0], 0)
    written_s = _written_at_s(next_file, offset)
    return Lag(size, max(0.0, now_s - written_s) if written_s else 0.0)


def _behind(files: Sequence[FileInfo], place: Cursor, ours: FileInfo | None) -> list[FileInfo]:
    """Return the files after that of `place`, each content once: a file has two names while it is the current one."""
    if place.file == NO_FILE_YET:
        candidates = [file for file in files if file.current or file.modified_at_s >= place.offset]
    else:
        candidates = rotation.files_after(files, place)
    own = rotation.copies_of(files, place) if ours else []
    others = (file for file in candidates if file.fingerprint and file not in own)
    return list({(file.fingerprint, file.dated): file for file in others}.values())


def _written_at_s(file: FileInfo, offset: int) -> float | None:
    """Return when the line at `offset` was written; of a compressed file, when its first one was."""
    if not file.zipped:
        try:
            with open(file.path, "rb") as plain:  # noqa: PTH123 — as above
                plain.seek(offset)
                return written_at_s(plain.read(PEEK_BYTES))
        except OSError:
            return None
    return int(file.fingerprint[:8], 16) or None
