"""Where somebody starts who has no cursor yet: at the beginning, at the end, or at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.alertlog.content import BLOCK_BYTES, Changed
from producer.alertlog.position import NEW, Place, earliest_day, written_at_s

if TYPE_CHECKING:
    from producer.alertlog.folder import Folder
    from producer.alertlog.reader import Reader
    from producer.alertlog.readers import Readers


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

    It is looked for in the last file whose first line was written before. Lines without a time do not count.
    """
    files = [file for file in folder.oldest_first(earliest_day(moment_s)) if file.fingerprint]
    places = [Place(file.fingerprint, 0) for file in files]
    before = [place for place in places if 0 < place.began_at_s <= moment_s]
    if not before:
        return places[0] if places else None
    reader = readers.open(before[-1], files)
    if not reader:
        return before[-1]
    try:
        return _first_line(reader, moment_s)
    except Changed:
        return before[-1]
    finally:
        reader.content.close()


def _first_line(reader: Reader, moment_s: float) -> Place:
    offset = 0
    while True:
        chunk = reader.read(offset, BLOCK_BYTES)
        for line in chunk.lines:
            if (written_at_s(line.raw) or 0) >= moment_s:
                return Place(line.file, line.start)
        if chunk.at_end and chunk.end == offset:
            return Place(reader.file, offset)
        offset = chunk.end
