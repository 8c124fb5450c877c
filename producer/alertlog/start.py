"""Where somebody starts who has no cursor yet: at the beginning, at the end, or at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.timestamps import written_at_s
from producer.alertlog import order
from producer.alertlog.content import BLOCK_BYTES, Changed, Plain
from producer.alertlog.position import NEW, Place, earliest_day

if TYPE_CHECKING:
    from producer.alertlog.content import Content
    from producer.alertlog.folder import Folder
    from producer.alertlog.reader import Reader
    from producer.alertlog.readers import Readers

NEAR_BYTES: Final = 4 * 1024 * 1024
LATE_S: Final = 60.0
"""Lines are nearly in the order of their times: the search begins so much before."""


def beginning(folder: Folder) -> Place:
    """Return the place before the oldest line that is there."""
    files = folder.oldest_first()
    return next((order.start_of(file, files) for file in files if file.fingerprint), Place(NEW, 0))


def end(folder: Folder, readers: Readers, now_s: float) -> Place:
    """Return the place behind the newest complete line; while there is none, before all that comes after `now_s`."""
    files = folder.oldest_first()
    newest = next((file for file in reversed(files) if file.fingerprint), None)
    if newest:
        reader = readers.open(order.start_of(newest, files), files)
        if reader:
            try:
                return reader.place_at(reader.content.end_of_lines())
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
    places = list(dict.fromkeys(order.start_of(file, files) for file in files))
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
    try:
        behind = reader.place_at(_shortly_before(reader.content, moment_s))
        while True:
            chunk = reader.read(behind.offset, BLOCK_BYTES)
            for line in chunk.lines:
                if (written_at_s(line.raw) or 0) >= moment_s:
                    return behind, True
                behind = Place.parse(line.after)
            at_end = chunk.at_end and chunk.end == behind.offset
            behind = Place(reader.file, chunk.end, chunk.seal or behind.seal, reader.name)
            if at_end:
                return behind, False
    except (Changed, OSError):
        return start, True
    finally:
        reader.content.close()


def _shortly_before(content: Content, moment_s: float) -> int:
    """Return where a line starts that was surely written before `moment_s`, and near it in a file that can be long."""
    if not isinstance(content, Plain):
        return 0
    low, high = 0, content.size()
    while high - low > NEAR_BYTES:
        middle = (low + high) // 2
        before, newline, behind = content.peek(middle, BLOCK_BYTES).partition(b"\n")
        written_s = written_at_s(behind)
        if newline and written_s and written_s < moment_s - LATE_S:
            low = middle + len(before) + 1
        else:
            high = middle
    return low
