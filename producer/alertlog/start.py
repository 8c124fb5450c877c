"""Where somebody starts who has no cursor yet: at the beginning, the end, a time or a position."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from common.timestamps import written_at_s
from producer.alertlog.content import BLOCK_BYTES, Changed
from producer.alertlog.position import NEW, Place, earliest_day

if TYPE_CHECKING:
    from common.settings_values import LogPosition
    from producer.alertlog.folder import Folder
    from producer.alertlog.reader import Reader
    from producer.alertlog.readers import Readers

_log = logging.getLogger("courier.producer")


def beginning(folder: Folder) -> Place:
    """Return the place before the oldest line that is there."""
    return next((Place(file.fingerprint, 0) for file in folder.oldest_first() if file.fingerprint), Place(NEW, 0))


def end(folder: Folder, readers: Readers, now_s: float) -> Place:
    """Return the place behind the newest complete line; while there is none, before all that comes after `now_s`."""
    newest = next((file for file in folder.newest_first() if file.fingerprint), None)
    if newest:
        start = Place(newest.fingerprint, 0)
        reader = readers.open(start, list(folder.oldest_first(earliest_day(start.began_at_s))))
        if reader:
            try:
                return Place(reader.file, reader.content.end_of_lines())
            except OSError:
                pass
            finally:
                reader.content.close()
    return Place(NEW, int(now_s))


def at(folder: Folder, readers: Readers, moment_s: float) -> Place | None:
    """Return the place before the first line that was written at `moment_s` or later; nothing if there are no files.

    It is looked for from the last file on whose first line was surely written before. Lines without a time do not
    count. If there is none, that is behind the last line.
    """
    files = [file for file in folder.oldest_first(earliest_day(moment_s)) if file.fingerprint]
    places = list(dict.fromkeys(Place(file.fingerprint, 0) for file in files))
    # A fingerprint knows whole seconds only.
    before = [at for at, place in enumerate(places) if 0 < place.began_at_s <= moment_s - 1]
    found = None
    for place in places[before[-1] if before else 0 :]:
        found, reached = _search(readers.open(place, files), place, moment_s)
        if reached:
            break
    return found


def position(folder: Folder, readers: Readers, wanted: LogPosition) -> Place | None:
    """Return the place at the start of the line that holds byte `wanted.offset` of a file, nothing if there is none.

    Of a file that is gone: the start of the next one, so that nothing that is left is passed over.
    """
    name = folder.named(wanted.file)
    there = [file for file in folder.oldest_first() if file.name >= name]
    files = [file for file in there if file.fingerprint]
    named = [file for file in files if file.name == name]
    if not named:
        if files:
            problem = next((file.problem for file in there if file.name == name and file.problem), "")
            why = f"cannot be read ({problem})" if problem else "is gone"
            _log.warning("start_at: %s %s; going on with %s", wanted.file, why, files[0].path)
        return Place(files[0].fingerprint, 0) if files else None
    reader = readers.open(Place(named[0].fingerprint, 0), named)
    found = None
    if reader:
        try:
            found = _line_start(reader, wanted.offset)
        except (OSError, Changed):
            pass
        finally:
            reader.content.close()
    if found is None:
        _log.warning("start_at: %s has no byte %d: reading it from its start", wanted.file, wanted.offset)
    return Place(named[0].fingerprint, found or 0)


def _line_start(reader: Reader, offset: int) -> int | None:
    content, start = reader.content, 0
    if content.seek(offset):
        return offset
    content.seek(0)
    while content.at < offset and (more := content.read(min(BLOCK_BYTES, offset - content.at))):
        newline = more.rfind(b"\n")
        start = content.at - len(more) + newline + 1 if newline >= 0 else start
    return start if content.at == offset else None


def _search(reader: Reader | None, start: Place, moment_s: float) -> tuple[Place, bool]:
    """Return where in a file `moment_s` is, and whether it is there; else its end, or `start` if it cannot be read."""
    if not reader:
        return start, True
    offset, at_end = 0, False
    try:
        while not at_end:
            chunk = reader.read(offset, BLOCK_BYTES)
            for line in chunk.lines:
                if (written_at_s(line.raw) or 0) >= moment_s:
                    return Place(line.file, line.start), True
            at_end, offset = chunk.at_end and chunk.end == offset, chunk.end
    except Changed:
        return start, True
    finally:
        reader.content.close()
    return Place(reader.file, offset), False
