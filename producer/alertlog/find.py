"""Finds lines by their id, and the last lines: for operators' commands. The producer only reads on."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

from producer.alertlog import rotation
from producer.alertlog.cursor import NO_FILE_YET, Cursor
from producer.alertlog.log_file import BLOCK_BYTES, FileReplaced, PlainLogFile
from producer.broken_lines import recover_alerts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.alertlog.directory import FileInfo, LogDirectory
    from producer.alertlog.line_reader import LineReader
    from producer.alertlog.log_lines import LogLine
    from producer.alertlog.open_files import OpenFiles
    from producer.source import Line

MAX_LAST_BYTES: Final = 64 * 1024 * 1024
"""Bytes that are searched backwards for the last lines, and the size of those that are kept of an archive."""

_ID: Final = re.compile(r"([0-9a-f]{20}):([0-9a-f]{10,15}):[0-9a-f]{8}")


def line(folder: LogDirectory, readers: OpenFiles, line_id: str) -> Line | None:
    """Return the line, or the part of a damaged line, with this id; None if no file has it any more.

    The id names the file and the offset, so a plain file is not searched. An archive is decompressed up to there.
    """
    found = _ID.fullmatch(line_id)
    if not found:
        return None
    start = Cursor(found[1], int(found[2], 16))
    for file in rotation.copies_of(folder.oldest_first(start.since), start):
        reader = readers.open(Cursor(start.file, 0, name=file.dated), [file])
        if not reader:
            continue
        try:
            if held := _line_at(reader, start.offset, line_id):
                return held
        except (OSError, FileReplaced):
            continue
        finally:
            reader.content.close()
    return None


def last(folder: LogDirectory, readers: OpenFiles, count: int) -> list[Line]:
    """Return the last `count` complete lines, oldest first; fewer if the log has no more, or they are very long."""
    files = folder.oldest_first()
    starts = dict.fromkeys(rotation.start_of(file, files) for file in files if file.fingerprint)
    found: list[Line] = []
    for start in reversed(starts):
        reader = readers.open(start, files)
        if not reader:
            continue
        try:
            found = [*_last_of(reader, count - len(found)), *found]
        except (OSError, FileReplaced):
            continue
        finally:
            reader.content.close()
        if len(found) >= count:
            break
    return found


def is_behind(folder: LogDirectory, cursor: Cursor, read: Line) -> bool | None:
    """Return whether `cursor` is behind a line, so that its reader has read the line; None if that is unknown."""
    if cursor.file.startswith("?"):  # it cannot be parsed
        return None
    own, files = Cursor.parse(read.next_cursor), folder.oldest_first()
    ours = rotation.copies_of(files, own)
    if cursor.file == NO_FILE_YET:
        return not any(file.current or file.modified_at_s >= cursor.offset for file in ours)
    theirs = rotation.copies_of(files, cursor)
    if _is_same_name(own, cursor) and (own.file == cursor.file or _paths(ours) & _paths(theirs)):
        return cursor.offset >= own.offset
    if any(file in ours for file in rotation.files_after(files, cursor)):
        return False
    return True if theirs or cursor.name or cursor.first_line_at_s else None


def _is_same_name(one: Cursor, other: Cursor) -> bool:
    return not one.name or not other.name or one.name == other.name


def _paths(files: Sequence[FileInfo]) -> set[str]:
    return {file.path for file in files}


def _line_at(reader: LineReader, offset: int, line_id: str) -> Line | None:
    """Return what has this id at `offset`: a line, or an alert in a damaged line, which can end before the line."""
    reader.cursor_at(offset)
    chunk = reader.read(offset, 1)
    there: LogLine = chunk.lines[0] if chunk.lines else reader.partial_line(offset)
    return next((one for one in (there, *recover_alerts(there)) if one.raw and one.id == line_id), None)


def _last_of(reader: LineReader, count: int) -> Sequence[Line]:
    """Return the last lines of one file."""
    content, size = reader.content, 0
    kept: deque[Line] = deque()
    at = _before_last(content, count) if isinstance(content, PlainLogFile) else 0
    reader.cursor_at(at)
    while True:
        chunk = reader.read(at, BLOCK_BYTES)
        for one in chunk.lines:
            kept.append(one)
            size += len(one.raw)
            while len(kept) > count or (size > MAX_LAST_BYTES and len(kept) > 1):
                size -= len(kept.popleft().raw)
        if chunk.at_end and chunk.end == at:
            return kept
        at = chunk.end


def _before_last(content: PlainLogFile, count: int) -> int:
    """Return the start of a line that at least `count` lines follow, or a later one if these are very long."""
    end = content.end_of_lines()
    size = BLOCK_BYTES
    while True:
        start = max(0, end - size)
        block = content.peek(start, end - start)
        if start == 0:
            return 0
        if block.count(b"\n") > count or size >= MAX_LAST_BYTES:
            return start + block.find(b"\n") + 1
        size *= 4
