"""The alert log as the producer sees it: lines from a cursor on, from file to file, none lost and none twice.

All that is assumed of whoever writes: once a later file has lines, the earlier one gets none any more. It is then
read to its end through the descriptor that is still open, so it does not matter whether it was meanwhile renamed,
packed or removed. What cannot be had is told in `Batch.passed`; what is only odd is logged, once.

Where both cannot be had, a line comes twice rather than never.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Final

from producer.alertlog import order, start
from producer.alertlog.content import Changed
from producer.alertlog.folder import CURRENT, Folder
from producer.alertlog.lag import lag
from producer.alertlog.position import NEW, Place, earliest_day
from producer.alertlog.readers import Readers
from producer.lines import Lines
from producer.source import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from common.settings_values import LogPosition
    from producer.alertlog.folder import File, Name
    from producer.alertlog.reader import Chunk, Reader
    from producer.source import Lag

LOOKS: Final = 3
"""How often to look, while files change between being found and being opened, before something counts as gone."""

INATTENTIVE_S: Final = 60.0
"""Whoever waits at the end of a file and looks more often than this misses no file. The manager does not begin another
more often than every 600 s; that it skips days, on which there were no alerts, is then no reason for alarm."""

MISSING: Final = "is missing"

_log = logging.getLogger("courier.producer")


class AlertLog:
    """The alert log whose current file is `path`; a `Source`, for one thread at a time.

    Lines above `max_line_bytes` are passed over. `now` returns seconds since 1970.
    """

    def __init__(self, path: Path, *, max_line_bytes: int, now: Callable[[], float] = time.time) -> None:
        self._path, self._now = path, now
        self._folder = Folder(path)
        self._readers = Readers(self._folder, max_line_bytes)
        self._trouble = ""

    def beginning(self) -> str:
        """Return the cursor before the oldest line that is there."""
        return str(start.beginning(self._folder))

    def end(self) -> str:
        """Return the cursor behind the newest complete line, or for what will come if there is none."""
        found = start.end(self._folder, self._readers, self._now())
        if found.file == NEW:
            self._readers.hold_empty(found, self._files(found))
        return str(found)

    def at(self, moment: datetime) -> str:
        """Return the cursor before the first line whose timestamp is `moment` or later."""
        found = start.at(self._folder, self._readers, moment.timestamp())
        return str(found) if found else self.end()

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a file and an offset; of a file that is gone, for the start of what comes after it."""
        found = start.position(self._folder, self._readers, position)
        return str(found) if found else self.end()

    def close(self) -> None:
        """Close every file."""
        self._readers.close()

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises for what a log can look like."""
        place = Place.parse(cursor)
        for look in range(LOOKS):
            batch = self._read(place, max_bytes, hasty=look < LOOKS - 1)
            if batch:
                return batch
        return _wait(place)

    def keep_only(self, cursors: Collection[str]) -> None:
        """Close what nobody at these cursors reads: its file may be deleted, and would keep its place on the disk."""
        self._readers.keep_only([Place.parse(cursor) for cursor in cursors])

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the newest byte of the log."""
        place = Place.parse(cursor)
        return lag(place, list(self._folder.oldest_first(earliest_day(place.began_at_s))), self._now())

    def _read(self, place: Place, max_bytes: int, *, hasty: bool) -> Batch | None:
        """Do it, or return nothing if it is worth another look."""
        if place.file == NEW:
            return self._first(place)
        reader = self._readers.at(place)
        if not reader:
            files = self._files(place)
            reader = self._readers.open(place, files)
            if not reader:
                return None if hasty else self._lost(place, files)
            self._readers.keep(reader)
        try:
            chunk = reader.read(place.offset, max_bytes)
            if _is_more(chunk, place):
                return _batch(chunk, place)
            return self._beyond(place, reader)
        except Changed:
            self._readers.drop(reader)
            return None

    def _files(self, place: Place) -> list[File]:
        """Return the files that matter at `place`, oldest first; before them one that is open but nowhere any more."""
        files = list(self._folder.oldest_first(earliest_day(place.began_at_s)))
        begun = self._readers.begun(place, files)
        return [begun, *files] if begun else files

    def _first(self, place: Place) -> Batch:
        """Start with what was not there when the cursor was made."""
        files = self._files(place)
        new = (file for file in files if file.name == CURRENT or file.changed_at_s >= place.offset)
        first = next((file for file in new if file.fingerprint), None)
        if first:
            return Batch(Lines(), str(Place(first.fingerprint, 0)), at_end=False)
        return self._wait(place, files)

    def _beyond(self, place: Place, reader: Reader) -> Batch | None:
        """Go on from the end of a file to a longer copy of it, or to the next one, if there is one. Raises Changed."""
        waited_at_s, reader.waited_at_s = reader.waited_at_s, self._now()
        if self._names(reader) > 1:
            return _wait(place)
        files = self._files(place)
        if self._move_to_copy(place, reader, files):
            return None
        step = order.step(files, place)
        if not step:
            return self._wait(place, files)
        # It may have grown after we were at its end and before the next file had a line.
        chunk = reader.read(place.offset, 1)
        if _is_more(chunk, place):
            return _batch(chunk, place)
        if self._move_to_archive(place, reader, files):
            return None
        before = None if self._now() - waited_at_s < INATTENTIVE_S else order.name_of(files, place.file)
        return self._leave(place, reader, before, step)

    def _names(self, reader: Reader) -> int:
        """Return how many names the reader's file has if it is `alerts.json`, else 0.

        With more than one name it is the dated file as well, and no other file can be ahead of it.
        """
        try:
            status = os.stat(self._path)  # noqa: PTH116 — once for each look; a Path costs ten times as much
        except OSError:
            return 0
        if (status.st_dev, status.st_ino) != reader.content.inode:
            return 0
        self._tell(f"cannot be read ({reader.content.damage})" if reader.content.damage else "")
        return status.st_nlink

    def _move_to_copy(self, place: Place, reader: Reader, files: Sequence[File]) -> bool:
        """Go to another file with this fingerprint if it has more, or is now `alerts.json`. Say whether it did."""
        content = reader.content
        copies = [file for file in order.copies(files, place.file) if not file.zipped and file.inode != content.inode]
        better = [
            file for file in copies if file.size > content.at or (file.name == CURRENT and file.size == content.at)
        ]
        other = self._readers.open(place, better)
        replaced = any(file.name == CURRENT for file in copies) and all(file.inode != content.inode for file in files)
        if other:
            self._readers.keep(other)
        if other or replaced:
            # A copy that does not go on where we are is found wanting by the next look.
            self._readers.drop(reader)
        return bool(other or replaced)

    def _move_to_archive(self, place: Place, reader: Reader, files: Sequence[File]) -> bool:
        """Go to a compressed file with this fingerprint if it has more than what we have read, which is gone."""
        if any(file.inode == reader.content.inode for file in files):
            return False
        archive = self._readers.open(place, [file for file in files if file.zipped])
        if not archive:
            return False
        more = _is_more(archive.read(place.offset, 1), place)
        if more:
            self._readers.drop(reader)
            self._readers.keep(archive)
        else:
            archive.content.close()
        return more

    def _leave(self, place: Place, reader: Reader, before: Name | None, step: order.Step) -> Batch:
        """Go on to the next file; tell what remains unread in this one, and if it is not the next by name."""
        passed = []
        rest, damage = reader.rest(place.offset), reader.content.damage
        if damage:
            passed.append(order.unreadable(reader.path, f"what follows byte {reader.content.at}", damage))
        elif rest:
            passed.append(order.unfinished(reader.path, place.offset, rest))
        passed += [*step.gaps(before), *step.unreadable()]
        self._readers.drop(reader)
        return Batch(Lines(), str(Place(step.file.fingerprint, 0)), at_end=False, passed=tuple(passed))

    def _lost(self, place: Place, files: Sequence[File]) -> Batch:
        """Go on although no file has what comes at `place`."""
        if place.offset and order.copies(files, place.file):
            # Cut, or restored from an older copy: what is new in it cannot be told from what we have read.
            _log.warning("%s was cut before byte %d: reading it again from its start", self._path, place.offset)
            return Batch(Lines(), str(Place(place.file, 0)), at_end=False)
        step = order.step(files, place)
        if not step:
            return self._wait(place, files)
        passed = (order.gone(place, step.file), *step.unreadable())
        return Batch(Lines(), str(Place(step.file.fingerprint, 0)), at_end=False, passed=passed)

    def _wait(self, place: Place, files: Sequence[File]) -> Batch:
        """Wait for a file that comes after all of `files`."""
        self._readers.hold_empty(place, files)
        current = next((file for file in files if file.name == CURRENT), None)
        if not current:
            self._tell(MISSING)
        else:
            self._tell(f"cannot be read ({current.problem})" if current.problem else "")
        return _wait(place)

    def _tell(self, trouble: str) -> None:
        """Log, once, what is wrong with `alerts.json`, and when it is over."""
        if trouble and trouble != self._trouble:
            hint = "is <jsonout_output> yes in ossec.conf?" if trouble == MISSING else "who may read it?"
            _log.warning("%s %s: waiting for it; %s", self._path, trouble, hint)
        elif self._trouble and not trouble:
            _log.info("%s can be read again", self._path)
        self._trouble = trouble


def _is_more(chunk: Chunk, place: Place) -> bool:
    return chunk.end > place.offset or not chunk.at_end


def _batch(chunk: Chunk, place: Place) -> Batch:
    return Batch(chunk.lines, str(Place(place.file, chunk.end)), at_end=False, passed=chunk.passed)


def _wait(place: Place) -> Batch:
    return Batch(Lines(), str(place), at_end=True)
