"""Where somebody starts who has no cursor yet: at the beginning, at the end, or at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.timestamps import written_at_s
from producer.alertlog.content import BLOCK_BYTES, Changed
from producer.alertlog.position import NEW, Place, earliest_day

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
