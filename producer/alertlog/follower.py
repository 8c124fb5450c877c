"""Reads the alert log from a cursor, across files, with none lost and none repeated.

The one assumption about the manager: once a later file has lines, it writes no more to the earlier one. The earlier
file is then read to its end through the open descriptor, even if it was renamed, compressed or deleted meanwhile.
Data that cannot be read is reported in `Batch.skipped`. Other oddities are logged once.

If a case is ambiguous, a line is read twice rather than never.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from common.logs import Condition
from producer.alertlog import rotation
from producer.alertlog.cursor import NO_FILE_YET, Cursor
from producer.alertlog.line_reader import SAMPLE_BYTES
from producer.alertlog.log_file import FileReplaced
from producer.alertlog.log_lines import LogLines
from producer.broken_lines import alert_spans
from producer.source import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from producer.alertlog.cursor import FileDate
    from producer.alertlog.directory import FileInfo, LogDirectory
    from producer.alertlog.line_reader import Chunk, LineReader
    from producer.alertlog.open_files import OpenFiles

OPEN_RETRIES: Final = 3
"""Attempts before a file counts as missing, because files can change between being listed and being opened."""

GAP_CHECK_AFTER_S: Final = 60.0
"""A reader that checked the end of a file less than this ago missed no file: the manager starts a new one every 600 s
at most. A day missing between two names then only had no alerts, and is not reported."""

MISSING: Final = "is missing"

_log = logging.getLogger("courier.producer")


class Follower:
    """Reads the alert log whose current file is `path`, for one thread. `now` returns seconds since 1970."""

    def __init__(self, path: Path, directory: LogDirectory, open_files: OpenFiles, now: Callable[[], float]) -> None:
        self._path, self._directory, self._open_files, self._now = path, directory, open_files, now
        self._unreadable = Condition(_log)

    def read(self, cursor: Cursor, max_bytes: int) -> Batch:
        """Return the lines from `cursor` on, about `max_bytes` of them. Never raises for what a log can look like."""
        for attempt in range(OPEN_RETRIES):
            batch = self._read(cursor, max_bytes, may_retry=attempt < OPEN_RETRIES - 1)
            if batch:
                return batch
        return _wait(cursor)

    def _read(self, cursor: Cursor, max_bytes: int, *, may_retry: bool) -> Batch | None:
        """Return the lines from `cursor`, or None if the caller should retry."""
        if cursor.file == NO_FILE_YET:
            return self._read_first_file(cursor)
        reader = self._open_files.reader_at(cursor)
        if not reader:
            files = self.files(cursor)
            reader = self._open_files.open(cursor, files)
            if not reader:
                return None if may_retry else self._file_gone(cursor, files)
            self._open_files.keep(reader)
        try:
            chunk = reader.read(cursor.offset, max_bytes)
            if _is_more(chunk, cursor):
                return _batch(chunk, reader)
            return self._at_end_of_file(cursor, reader)
        except FileReplaced:
            self._open_files.close_reader(reader)
            return None

    def files(self, cursor: Cursor) -> list[FileInfo]:
        """Return the files at or after `cursor`, oldest first; a deleted file that is still open comes before them."""
        files = self._directory.oldest_first(cursor.since)
        begun = self._open_files.started_file(cursor, files)
        return [begun, *files] if begun else files

    def _read_first_file(self, cursor: Cursor) -> Batch:
        """Start with the first file that is newer than the cursor."""
        files = self.files(cursor)
        new = (file for file in files if file.current or file.modified_at_s >= cursor.offset)
        first = next((file for file in new if file.fingerprint), None)
        if first:
            return Batch(LogLines(), str(rotation.start_of(first, files)), at_end=False)
        return self._wait_for_next_file(cursor, files)

    def _at_end_of_file(self, cursor: Cursor, reader: LineReader) -> Batch | None:
        """Continue from the end of a file in a longer copy of it, or in the next file, if there is one.

        Raises FileReplaced.
        """
        waited_at_s, reader.waited_at_s = reader.waited_at_s, self._now()
        if reader.name and self._names(reader) > 1:
            return _wait(cursor)
        files = self.files(cursor)
        cursor = _with_name(cursor, reader, files)
        if self._move_to_copy(cursor, reader, files):
            return None
        step = rotation.next_file(files, cursor, is_copy=lambda file: self._is_same(reader, file))
        if not step and not self._is_replaced(cursor, reader, files):
            return self._wait_for_next_file(cursor, files)
        # Read once more: lines may have been added after the last read and before the next file had a line.
        chunk = reader.read(cursor.offset, 1)
        if _is_more(chunk, cursor):
            return _batch(chunk, reader)
        before = None if self._now() - waited_at_s < GAP_CHECK_AFTER_S else rotation.name_of(files, cursor)
        return self._finish_file(cursor, reader, before, step, files)

    def _is_same(self, reader: LineReader, file: FileInfo) -> bool:
        """Say whether a file whose id and name match the reader's is the same file, or a copy of it."""
        return file.zipped or file.inode == reader.content.inode or self._open_files.is_copy(reader, file)

    def _is_replaced(self, cursor: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Say whether the reader's file was deleted, and `alerts.json` is a truncated or rewritten copy of it."""
        copies = rotation.copies_of(files, cursor)
        return any(file.current for file in copies) and all(file.inode != reader.content.inode for file in files)

    def _names(self, reader: LineReader) -> int:
        """Return the number of hard links of the reader's file if it is `alerts.json`, else 0.

        With more than one, it is also the dated file, and no file can come after it.
        """
        try:
            status = os.stat(self._path)  # noqa: PTH116 — called for each read; a Path costs ten times as much
        except OSError:
            return 0
        if (status.st_dev, status.st_ino) != reader.content.inode:
            return 0
        self._log_error(f"cannot be read ({reader.content.read_error})" if reader.content.read_error else "")
        return status.st_nlink

    def _move_to_copy(self, cursor: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Switch to another copy of the file if that is longer, or is now `alerts.json`. Return whether it switched."""
        content = reader.content
        copies = [file for file in rotation.copies_of(files, cursor) if not file.zipped and file.inode != content.inode]
        better = [
            file for file in copies if file.size > content.offset or (file.current and file.size == content.offset)
        ]
        other = self._open_files.open(cursor, [file for file in better if self._is_same(reader, file)])
        if other:
            self._open_files.keep(other)
            self._open_files.close_reader(reader)
        return bool(other)

    def _move_to_archive(self, cursor: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> bool:
        """Switch to a compressed copy if it has more than the plain file, which was deleted or truncated.

        If the name now belongs to a different file, close ours; the file under that name then counts as truncated.
        Return whether the reader was replaced or closed.
        """
        is_there = any(file.inode == reader.content.inode for file in files)
        copies = rotation.copies_of(files, cursor)
        archives = [f for f in copies if f.zipped and (not is_there or f.length() != reader.content.offset % 2**32)]
        archive = self._open_files.open(cursor, archives)
        if not archive:
            other = not is_there and any(not self._open_files.is_copy(reader, file) for file in copies)
            if other:
                self._open_files.close_reader(reader)
            return other
        more = _is_more(archive.read(cursor.offset, 1), cursor)
        if more:
            self._open_files.close_reader(reader)
            self._open_files.keep(archive)
        else:
            archive.content.close()
        return more

    def _finish_file(
        self,
        cursor: Cursor,
        reader: LineReader,
        before: FileDate | None,
        step: rotation.NextFile | None,
        files: Sequence[FileInfo],
    ) -> Batch | None:
        """Continue with the next file; report what stays unread in this one, and files missing between the two.

        A last line without a line end is returned as a line if it holds a whole alert.
        """
        if not step:
            self._open_files.close_reader(reader)
            return None
        if self._move_to_archive(cursor, reader, files):
            return None
        lines, skipped = LogLines(), []
        rest, damage = reader.partial_line(cursor.offset), reader.content.read_error
        if damage:
            skipped.append(
                rotation.skipped_unreadable(reader.path, f"what follows byte {reader.content.offset}", damage)
            )
        elif alert_spans(rest.raw):
            lines = LogLines([rest])
        elif rest.raw:
            skipped.append(rotation.skipped_partial_line(reader.path, cursor.offset, rest.raw[:SAMPLE_BYTES]))
        skipped += [*step.gaps(before), *step.skipped_files()]
        if not lines:
            self._open_files.close_reader(reader)
        return Batch(lines, str(rotation.start_of(step.file, files)), at_end=False, skipped=tuple(skipped))

    def _file_gone(self, cursor: Cursor, files: Sequence[FileInfo]) -> Batch:
        """Continue in a truncated copy or in the next file, because no file has the data at `cursor`."""
        # An `alerts.json` without a name can be a copy of a later file, so it is left out here.
        copies = [file for file in rotation.copies_of(files, cursor) if file.dated or not cursor.name]
        if cursor.offset and copies:
            # Truncated, or restored from an older copy: new lines cannot be told from lines that were read before.
            _log.warning("%s was truncated before byte %d; reading it again from the start", self._path, cursor.offset)
            again = Cursor(cursor.file, 0, name=copies[0].dated)
            return Batch(LogLines(), str(again), at_end=False, skipped=(rotation.skipped_truncated(cursor, copies[0]),))
        step = rotation.next_file(files, cursor, is_copy=copies.__contains__)
        if not step:
            return self._wait_for_next_file(cursor, files)
        skipped = (rotation.skipped_missing(cursor, step.file), *step.skipped_files())
        return Batch(LogLines(), str(rotation.start_of(step.file, files)), at_end=False, skipped=skipped)

    def _wait_for_next_file(self, cursor: Cursor, files: Sequence[FileInfo]) -> Batch:
        """Return an empty batch, since no file has a line after `cursor`; log it if `alerts.json` is missing."""
        self._open_files.keep_empty_open(cursor, files)
        current = next((file for file in files if file.current), None)
        if not current:
            self._log_error(MISSING)
        else:
            self._log_error(f"cannot be read ({current.problem})" if current.problem else "")
        return _wait(cursor)

    def _log_error(self, error: str) -> None:
        """Log that `alerts.json` cannot be read; with an empty `error`, that it can be read again."""
        if error:
            hint = "is <jsonout_output> yes in ossec.conf?" if error == MISSING else "check its permissions"
            self._unreadable.set(f"{self._path} {error}; waiting for it; {hint}")
        else:
            self._unreadable.clear(f"{self._path} can be read again")


def _is_more(chunk: Chunk, cursor: Cursor) -> bool:
    return chunk.end > cursor.offset or not chunk.at_end


def _batch(chunk: Chunk, reader: LineReader) -> Batch:
    cursor = Cursor(reader.file, chunk.end, chunk.checksum, reader.name)
    return Batch(chunk.lines, str(cursor), at_end=False, skipped=chunk.skipped)


def _with_name(cursor: Cursor, reader: LineReader, files: Sequence[FileInfo]) -> Cursor:
    """Return the cursor with its file's name, which cursors of version 0.1 lack."""
    names = (file.dated for file in files if file.inode == reader.content.inode)
    reader.name = cursor.name or next(filter(None, names), reader.name)
    return cursor._replace(name=reader.name)


def _wait(cursor: Cursor) -> Batch:
    return Batch(LogLines(), str(cursor), at_end=True)
