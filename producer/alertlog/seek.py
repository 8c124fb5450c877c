"""Where somebody starts who has no cursor yet: at the beginning, the end, a time or a position."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from common.timestamps import written_at_s
from producer.alertlog import rotation
from producer.alertlog.cursor import NO_FILE_YET, Cursor, earliest_day
from producer.alertlog.directory import CURRENT
from producer.alertlog.log_file import BLOCK_BYTES, FileReplaced, PlainLogFile

if TYPE_CHECKING:
    from common.settings.values import LogPosition
    from producer.alertlog.directory import LogDirectory
    from producer.alertlog.line_reader import LineReader
    from producer.alertlog.log_file import LogFile
    from producer.alertlog.open_files import OpenFiles

SCAN_BELOW_BYTES: Final = 4 * 1024 * 1024
REORDER_WINDOW_S: Final = 60.0
"""Lines are nearly in the order of their times: the search begins so much before."""

_log = logging.getLogger("courier.producer")


def beginning(folder: LogDirectory) -> Cursor:
    """Return the place before the oldest line that is there."""
    files = folder.oldest_first()
    return next((rotation.start_of(file, files) for file in files if file.fingerprint), Cursor(NO_FILE_YET, 0))


def end(folder: LogDirectory, readers: OpenFiles, now_s: float) -> Cursor:
    """Return the place behind the newest complete line; while there is none, before all that comes after `now_s`."""
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
    """Return the place before the first line that was written at `moment_s` or later; nothing if there are no files.

    It is looked for from the last file on whose first line was surely written before. Lines without a time do not
    count. If there is none, that is behind the last line.
    """
    files = [file for file in folder.oldest_first(earliest_day(moment_s)) if file.fingerprint]
    places = list(dict.fromkeys(rotation.start_of(file, files) for file in files))
    # A fingerprint knows whole seconds only.
    before = [at for at, place in enumerate(places) if 0 < place.first_line_at_s <= moment_s - 1]
    found = None
    for place in places[before[-1] if before else 0 :]:
        found, reached = _search(readers.open(place, files), place, moment_s)
        if reached:
            break
    return found


def position(folder: LogDirectory, readers: OpenFiles, wanted: LogPosition) -> Cursor | None:
    """Return the place at the start of the line that holds byte `wanted.offset` of a file, nothing if there is none.

    Of a file that is gone: the start of the next one, so that nothing that is left is passed over.
    """
    name = folder.named(wanted.file)
    everything = folder.oldest_first()
    there = [file for file in everything if file.name >= name or file.current]
    files = [file for file in there if file.fingerprint]
    named = [file for file in files if file.name == name or (name == CURRENT and file.current)]
    if not named:
        if files:
            problem = next((file.problem for file in there if file.name == name and file.problem), "")
            why = f"cannot be read ({problem})" if problem else "is gone"
            _log.warning("start_at: %s %s; going on with %s", wanted.file, why, files[0].path)
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
        _log.warning("start_at: %s has no byte %d: reading it from its start", wanted.file, wanted.offset)
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
    """Return where in a file `moment_s` is, and whether it is there; else its end, or `start` if it cannot be read."""
    if not reader:
        return start, True
    try:
        behind = reader.cursor_at(_shortly_before(reader.content, moment_s))
        while True:
            chunk = reader.read(behind.offset, BLOCK_BYTES)
            for line in chunk.lines:
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


def _shortly_before(content: LogFile, moment_s: float) -> int:
    """Return where a line starts that was surely written before `moment_s`, and near it in a file that can be long."""
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
