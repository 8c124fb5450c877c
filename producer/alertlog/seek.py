"""Finds the first cursor of a new reader: at the beginning, the end, a time, or a file and offset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from common.timestamps import written_at_s
from producer.alertlog import rotation
from producer.alertlog.cursor import NO_FILE_YET, Cursor, earliest_day
from producer.alertlog.directory import CURRENT
from producer.alertlog.log_file import BLOCK_BYTES, FileReplaced, PlainLogFile

if TYPE_CHECKING:
    from common.settings.moments import LogPosition
    from producer.alertlog.directory import LogDirectory
    from producer.alertlog.line_reader import LineReader
    from producer.alertlog.log_file import LogFile
    from producer.alertlog.open_files import OpenFiles
    from producer.source import Lines

SCAN_BELOW_BYTES: Final = 4 * 1024 * 1024
REORDER_WINDOW_S: Final = 60.0
"""Lines are nearly in the order of their times, so the search begins this much earlier."""

_log = logging.getLogger("courier.producer")


def beginning(folder: LogDirectory) -> Cursor:
    """Return the cursor before the oldest line."""
    files = folder.oldest_first()
    return next((rotation.start_of(file, files) for file in files if file.fingerprint), Cursor(NO_FILE_YET, 0))


def end(folder: LogDirectory, readers: OpenFiles, now_s: float) -> Cursor:
    """Return the cursor behind the newest complete line; without one, a cursor before all lines from `now_s` on."""
    files = folder.oldest_first()
    newest = next((file for file in reversed(files) if file.fingerprint), None)
    if newest:
        reader = readers.open(rotation.start_of(newest, files), files)
        if reader:
            try:
                return reader.cursor_at(reader.content.end_of_lines())
            except OSError:
                pass
            finally:
                reader.content.close()
    return Cursor(NO_FILE_YET, int(now_s))


def at(folder: LogDirectory, readers: OpenFiles, moment_s: float) -> Cursor | None:
    """Return the cursor before the first line that was written at `moment_s` or later; None if there are no files.

    The search starts in the last file whose first line is certainly older. Lines without a time do not count. If no
    line is that new, it is the cursor behind the last line.
    """
    files = [file for file in folder.oldest_first(earliest_day(moment_s)) if file.fingerprint]
    cursors = list(dict.fromkeys(rotation.start_of(file, files) for file in files))
    # A fingerprint holds whole seconds only, hence the 1.
    before = [at for at, cursor in enumerate(cursors) if 0 < cursor.first_line_at_s <= moment_s - 1]
    found = None
    for cursor in cursors[before[-1] if before else 0 :]:
        found, reached = _search(readers.open(cursor, files), cursor, moment_s)
        if reached:
            break
    return found


def position(folder: LogDirectory, readers: OpenFiles, wanted: LogPosition) -> Cursor | None:
    """Return the cursor at the start of the line that holds byte `wanted.offset` of a file; None if there are no files.

    If that file is missing, it is the start of the next one, so that no existing line is skipped.
    """
    name = folder.named(wanted.file)
    everything = folder.oldest_first()
    there = [file for file in everything if file.name >= name or file.current]
    files = [file for file in there if file.fingerprint]
    named = [file for file in files if file.name == name or (name == CURRENT and file.current)]
    if not named:
        if files:
            problem = next((file.problem for file in there if file.name == name and file.problem), "")
            why = f"cannot be read ({problem})" if problem else "is missing"
            _log.warning("start_at: %s %s; starting with %s", wanted.file, why, files[0].path)
        return rotation.start_of(files[0], everything) if files else None
    start, found = rotation.start_of(named[0], everything), None
    reader = readers.open(start, named)
    if reader:
        try:
            offset = _line_start(reader, wanted.offset)
            found = None if offset is None else reader.cursor_at(offset)
        except (OSError, FileReplaced):
            pass
        finally:
            reader.content.close()
    if found is None:
        _log.warning("start_at: %s has no byte %d; reading it from the start", wanted.file, wanted.offset)
    return found or start


def _line_start(reader: LineReader, offset: int) -> int | None:
    content, start = reader.content, 0
    if content.seek(offset, ""):
        return offset
    content.seek(0, "")
    while content.offset < offset and (more := content.read(min(BLOCK_BYTES, offset - content.offset))):
        newline = more.rfind(b"\n")
        start = content.offset - len(more) + newline + 1 if newline >= 0 else start
    return start if content.offset == offset else None


def _search(reader: LineReader | None, start: Cursor, moment_s: float) -> tuple[Cursor, bool]:
    """Return the cursor of `moment_s` in a file and True; or its end and False if all of its lines are older.

    If the file cannot be read, return `start` and True.
    """
    if not reader:
        return start, True
    try:
        behind = reader.cursor_at(_shortly_before(reader.content, moment_s))
        while True:
            chunk = reader.read(behind.offset, BLOCK_BYTES)
            for line in () if _is_older(chunk.lines, moment_s) else chunk.lines:
                if (written_at_s(line.raw) or 0) >= moment_s:
                    return behind, True
                behind = Cursor.parse(line.next_cursor)
            at_end = chunk.at_end and chunk.end == behind.offset
            behind = Cursor(reader.file, chunk.end, chunk.checksum or behind.checksum, reader.name)
            if at_end:
                return behind, False
    except (FileReplaced, OSError):
        return start, True
    finally:
        reader.content.close()


def _is_older(lines: Lines, moment_s: float) -> bool:
    """Return whether all lines of a block are certainly older, as its last one is: an archive has millions of lines."""
    last_s = written_at_s(lines[-1].raw) if lines else None
    return last_s is not None and last_s < moment_s - REORDER_WINDOW_S


def _shortly_before(content: LogFile, moment_s: float) -> int:
    """Return the start of a line that was certainly written before `moment_s`, found by bisection in a plain file."""
    if not isinstance(content, PlainLogFile):
        return 0
    low, high = 0, content.size()
    while high - low > SCAN_BELOW_BYTES:
        middle = (low + high) // 2
        before, newline, behind = content.peek(middle, BLOCK_BYTES).partition(b"\n")
        written_s = written_at_s(behind)
        if newline and written_s and written_s < moment_s - REORDER_WINDOW_S:
            low = middle + len(before) + 1
        else:
            high = middle
    return low
