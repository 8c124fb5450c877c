"""The alert log as the producer sees it: lines from a cursor on, from file to file, none lost and none twice.

All that is assumed of whoever writes: once a later file has lines, the earlier one gets none any more. It is then
read to its end through the descriptor that is still open, so it does not matter whether it was meanwhile renamed,
packed or removed. What cannot be had is told in `Batch.skipped`; what is only odd is logged, once.

Where both cannot be had, a line comes twice rather than never.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Final

from producer.alertlog import rotation, seek
from producer.alertlog.cursor import NO_FILE_YET, Cursor
from producer.alertlog.directory import LogDirectory
from producer.alertlog.lag import lag
from producer.alertlog.line_reader import SAMPLE_BYTES
from producer.alertlog.log_file import FileReplaced
from producer.alertlog.open_files import OpenFiles
from producer.log_lines import LogLines
from producer.salvage import spans
from producer.source import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from common.settings.values import LogPosition
    from producer.alertlog.cursor import FileDate
    from producer.alertlog.directory import FileInfo
    from producer.alertlog.line_reader import Chunk, LineReader
    from producer.source import Lag

OPEN_RETRIES: Final = 3
"""How often to look, while files change between being found and being opened, before something counts as gone."""

GAP_CHECK_AFTER_S: Final = 60.0
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
        self._directory = LogDirectory(path)
        self._open_files = OpenFiles(self._directory, max_line_bytes)
        self._error = ""

    def beginning(self) -> str:
        """Return the cursor before the oldest line that is there."""
        return str(seek.beginning(self._directory))

    def end(self) -> str:
        """Return the cursor behind the newest complete line, or for what will come if there is none."""
        found = seek.end(self._directory, self._open_files, self._now())
        if found.file == NO_FILE_YET:
            self._open_files.keep_empty_open(found, self._files(found))
        return str(found)

    def at(self, moment: datetime) -> str:
        """Return the cursor before the first line whose timestamp is `moment` or later."""
        found = seek.at(self._directory, self._open_files, moment.timestamp())
        return str(found) if found else self.end()

    def position(self, position: LogPosition) -> str:
        """Return the cursor for a file and an offset; of a file that is gone, for the start of what comes after it."""
        found = seek.position(self._directory, self._open_files, position)
        return str(found) if found else self.end()

    def close(self) -> None:
        """Close every file."""
        self._open_files.close()

    def read(self, cursor: str, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises for what a log can look like."""
        place = Cursor.parse(cursor)
        for look in range(OPEN_RETRIES):
            batch = self._read(place, max_bytes, may_retry=look < OPEN_RETRIES - 1)
            if batch:
                return batch
        return _wait(place)

    def close_unused(self, cursors: Collection[str]) -> None:
        """Close what nobody at these cursors reads: its file may be deleted, and would keep its place on the disk."""
        self._open_files.close_unused([Cursor.parse(cursor) for cursor in cursors])

    def lag(self, cursor: str) -> Lag:
        """Return how far `cursor` is behind the newest byte of the log."""
        place = Cursor.parse(cursor)
        return lag(place, self._directory.oldest_first(place.since), self._now())

    def _read(self, place: Cursor, max_bytes: int, *, may_retry: bool) -> Batch | None:
        """Do it, or return nothing if it is worth another look."""
        if place.file == NO_FILE_YET:
            return self._read_first_file(place)
        reader = self._open_files.reader_at(place)
        if not reader:
            files = self._files(place)
            reader = self._open_files.open(place, files)
            if not reader:
                return None if may_retry else self._file_gone(place, files)
            self._open_files.keep(reader)
        try:
            chunk = reader.read(place.offset, max_bytes)
            if _is_more(chunk, place):
                return _batch(chunk, reader)
            return self._at_end_of_file(place, reader)
        except FileReplaced:
            self._open_files.close_reader(reader)
            return None

    def _files(self, place: Cursor) -> list[FileInfo]:
        """Return the files that matter at `place`, oldest first; before them one that is open but nowhere any more."""
        files = self._directory.oldest_first(place.since)
        begun = self._open_files.started_file(place, files)
        return [begun, *files] if begun else files

    def _read_first_file(self, place: Cursor) -> Batch:
        """Start with what was not there when the cursor was made."""
        files = self._files(place)
        new = (file for file in files if file.current or file.modified_at_s >= place.offset)
        first = next((file for file in new if file.fingerprint), None)
        if first:
            return Batch(LogLines(), str(rotation.start_of(first, files)), at_end=False)
        return self._wait_for_next_file(place, files)

    def _at_end_of_file(self, place: Cursor, reader: LineReader) -> Batch | None:
        """Go on from the end of a file to a longer copy of it, or to the next one, if there is one.

        Raises FileReplaced.
        """
        waited_at_s, reader.waited_at_s = reader.waited_at_s, self._now()
        if reader.name and self._names(reader) > 1:
            return _wait(place)
        files = self._files(place)
        place = _with_name(place, reader, files)
        if self._move_to_copy(place, reader, files):
            return None
        step = rotation.next_file(files, place, is_copy=lambda file: self._is_same(reader, file))
        if not step and not self._is_replaced(place, reader, files):
            return self._wait_for_next_file(place, files)
        # It may have grown after we were at its end and before the next file had a line.
        chunk = reader.read(place.offset, 1)
        if _is_more(chunk, place):
            return _batch(chunk, reader)
        before = None if self._now() - waited_at_s < GAP_CHECK_AFTER_S else rotation.name_of(files, place)
        return self._finish_file(place, reader, before, step, files)

    def _is_same(self, reader: LineReader, file: FileInfo) -> bool:
        """Say whether a file that may be the reader's by mark and name is that, or a copy of it."""
        return file.zipped or file.inode == reader.content.inode or self._open_files.is_copy(reader, file)

    def _is_replaced(self, place: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Say whether the reader's file is nowhere any more, and a copy in its place that was cut or written anew."""
        copies = rotation.copies_of(files, place)
        return any(file.current for file in copies) and all(file.inode != reader.content.inode for file in files)

    def _names(self, reader: LineReader) -> int:
        """Return how many names the reader's file has if it is `alerts.json`, else 0.

        With more than one name it is the dated file as well, and no other file can be ahead of it.
        """
        try:
            status = os.stat(self._path)  # noqa: PTH116 — once for each look; a Path costs ten times as much
        except OSError:
            return 0
        if (status.st_dev, status.st_ino) != reader.content.inode:
            return 0
        self._log_error(f"cannot be read ({reader.content.read_error})" if reader.content.read_error else "")
        return status.st_nlink

    def _move_to_copy(self, place: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Go to another copy of the file if it has more, or is now `alerts.json`. Say whether it did."""
        content = reader.content
        copies = [file for file in rotation.copies_of(files, place) if not file.zipped and file.inode != content.inode]
        better = [
            file for file in copies if file.size > content.offset or (file.current and file.size == content.offset)
        ]
        other = self._open_files.open(place, [file for file in better if self._is_same(reader, file)])
        if other:
            self._open_files.keep(other)
            self._open_files.close_reader(reader)
        return bool(other)

    def _move_to_archive(self, place: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Go to a compressed copy if it has more than what we have read, which is gone or was cut.

        Where the file of this name is another one by now, let go of ours: what is in its place counts as cut.
        """
        is_there = any(file.inode == reader.content.inode for file in files)
        copies = rotation.copies_of(files, place)
        archives = [f for f in copies if f.zipped and (not is_there or f.length() != reader.content.offset % 2**32)]
        archive = self._open_files.open(place, archives)
        if not archive:
            other = not is_there and any(not self._open_files.is_copy(reader, file) for file in copies)
            if other:
                self._open_files.close_reader(reader)
            return other
        more = _is_more(archive.read(place.offset, 1), place)
        if more:
            self._open_files.close_reader(reader)
            self._open_files.keep(archive)
        else:
            archive.content.close()
        return more

    def _finish_file(
        self,
        place: Cursor,
        reader: LineReader,
        before: FileDate | None,
        step: rotation.NextFile | None,
        files: Sequence[FileInfo],
    ) -> Batch | None:
        """Go on to the next file; tell what remains unread in this one, and if it is not the next by name.

        What remains is the last line if whole alerts are on it: only its end is missing.
        """
        if not step:
            self._open_files.close_reader(reader)
            return None
        if self._move_to_archive(place, reader, files):
            return None
        lines, passed = LogLines(), []
        rest, damage = reader.partial_line(place.offset), reader.content.read_error
        if damage:
            passed.append(
                rotation.skipped_unreadable(reader.path, f"what follows byte {reader.content.offset}", damage)
            )
        elif spans(rest.raw):
            lines = LogLines([rest])
        elif rest.raw:
            passed.append(rotation.skipped_partial_line(reader.path, place.offset, rest.raw[:SAMPLE_BYTES]))
        passed += [*step.gaps(before), *step.skipped_files()]
        if not lines:
            self._open_files.close_reader(reader)
        return Batch(lines, str(rotation.start_of(step.file, files)), at_end=False, skipped=tuple(passed))

    def _file_gone(self, place: Cursor, files: Sequence[FileInfo]) -> Batch:
        """Go on although no file has what comes at `place`."""
        # An `alerts.json` without a name can be a copy of a later file: it comes after those.
        copies = [file for file in rotation.copies_of(files, place) if file.dated or not place.name]
        if place.offset and copies:
            # Cut, or restored from an older copy: what is new in it cannot be told from what we have read.
            _log.warning("%s was cut before byte %d: reading it again from its start", self._path, place.offset)
            again = Cursor(place.file, 0, name=copies[0].dated)
            return Batch(LogLines(), str(again), at_end=False, skipped=(rotation.skipped_truncated(place, copies[0]),))
        step = rotation.next_file(files, place, is_copy=copies.__contains__)
        if not step:
            return self._wait_for_next_file(place, files)
        passed = (rotation.skipped_missing(place, step.file), *step.skipped_files())
        return Batch(LogLines(), str(rotation.start_of(step.file, files)), at_end=False, skipped=passed)

    def _wait_for_next_file(self, place: Cursor, files: Sequence[FileInfo]) -> Batch:
        """Wait for a file that comes after all of `files`."""
        self._open_files.keep_empty_open(place, files)
        current = next((file for file in files if file.current), None)
        if not current:
            self._log_error(MISSING)
        else:
            self._log_error(f"cannot be read ({current.problem})" if current.problem else "")
        return _wait(place)

    def _log_error(self, trouble: str) -> None:
        """Log, once, what is wrong with `alerts.json`, and when it is over."""
        if trouble and trouble != self._error:
            hint = "is <jsonout_output> yes in ossec.conf?" if trouble == MISSING else "who may read it?"
            _log.warning("%s %s: waiting for it; %s", self._path, trouble, hint)
        elif self._error and not trouble:
            _log.info("%s can be read again", self._path)
        self._error = trouble


def _is_more(chunk: Chunk, place: Cursor) -> bool:
    return chunk.end > place.offset or not chunk.at_end


def _batch(chunk: Chunk, reader: LineReader) -> Batch:
    place = Cursor(reader.file, chunk.end, chunk.checksum, reader.name)
    return Batch(chunk.lines, str(place), at_end=False, skipped=chunk.skipped)


def _with_name(place: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> Cursor:
    """Return the place with its file's name, which a cursor of version 0.1 does not have."""
    names = (file.dated for file in files if file.inode == reader.content.inode)
    reader.name = place.name or next(filter(None, names), reader.name)
    return place._replace(name=reader.name)


def _wait(place: Cursor) -> Batch:
    return Batch(LogLines(), str(place), at_end=True)
