"""Keeps files open between reads: one reader for each cursor in use, so that each continues where it stopped."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from producer.alertlog import rotation
from producer.alertlog.cursor import Cursor, dated_file_id, fingerprint, is_complete_head
from producer.alertlog.directory import CURRENT, FileInfo
from producer.alertlog.line_reader import LineReader
from producer.alertlog.log_file import PlainLogFile, open_log_file, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from producer.alertlog.directory import LogDirectory
    from producer.alertlog.log_file import LogFile

MAX_OPEN: Final = 32
"""Most readers that stay open. With more distinct cursors than this, files are opened again for each read."""


class OpenFiles:
    """Opens readers and keeps them for the next read at the same cursor."""

    def __init__(
        self, folder: LogDirectory, max_line_bytes: int, before_read: Callable[[], object] | None = None
    ) -> None:
        self._folder, self._max_line_bytes, self._before_read = folder, max_line_bytes, before_read
        self._readers: list[LineReader] = []
        self._empty: PlainLogFile | None = None
        self._expected_cursor = ""

    def reader_at(self, cursor: Cursor) -> LineReader | None:
        """Return an open reader that can continue at `cursor`, and mark it as the last used."""
        found = next(
            (reader for reader in self._readers if reader.can_continue_at(cursor)), None
        ) or self._reader_of_started(cursor)
        if found:
            self._readers.remove(found)
            self._readers.append(found)
        return found

    def keep_empty_open(self, cursor: Cursor, files: Sequence[FileInfo]) -> None:
        """Keep an empty `alerts.json` open: it may get lines and be deleted before the next read."""
        self._expected_cursor = cursor.file
        empty = next((file for file in files if file.current and not file.fingerprint), None)
        if not empty or (self._empty and self._empty.inode == empty.inode):
            return
        self._close_empty()
        with suppress(OSError):
            self._empty = open_plain(empty.path)

    def started_file(self, cursor: Cursor, files: Sequence[FileInfo]) -> FileInfo | None:
        """Return the file that was empty while waiting at `cursor`, if it now has a line and is not in `files`."""
        if not self._empty or cursor.file != self._expected_cursor:
            return None
        seen = next((file for file in files if file.inode == self._empty.inode), None)
        if seen:
            if seen.fingerprint:
                self._close_empty()
            return None
        with suppress(OSError):
            self._empty.read_head()
        if not is_complete_head(self._empty.head):
            return None
        path, inode, file_id = "the former alerts.json", self._empty.inode, fingerprint(self._empty.head)
        return FileInfo(path, CURRENT, False, inode, 0, 0.0, file_id, "", current=True)

    def _reader_of_started(self, cursor: Cursor) -> LineReader | None:
        """Make a reader of the file that was kept open while empty, if it is the file of `cursor`."""
        if not self._empty:
            return None
        file_id = fingerprint(self._empty.head)
        if cursor not in {Cursor(file_id, 0), Cursor(dated_file_id(file_id, CURRENT), 0)}:
            return None
        reader = LineReader(self._empty, "the former alerts.json", self._max_line_bytes, cursor.file, None)
        self._empty = None
        self._readers.append(reader)
        return reader

    def _close_empty(self) -> None:
        if self._empty:
            self._empty.close()
        self._empty = None

    def open(self, cursor: Cursor, files: Sequence[FileInfo]) -> LineReader | None:
        """Open the first of `files` that matches the cursor's file id and checksum; None if there is none."""
        for file in rotation.copies_of(files, cursor):
            try:
                content = open_log_file(file.path, zipped=file.zipped)
            except OSError:
                continue
            content.before_read = self._before_read or content.before_read
            with ExitStack() as stack:
                stack.callback(content.close)
                if self._is_at(content, file, cursor):
                    stack.pop_all()
                    name = cursor.name or file.dated
                    return LineReader(content, file.path, self._max_line_bytes, cursor.file, name)
            self._folder.invalidate(file.path)
        return None

    def _is_at(self, content: LogFile, file: FileInfo, cursor: Cursor) -> bool:
        """Go to the cursor in an open file. Return whether that is the file, and the bytes before the cursor match."""
        head = content.head if is_complete_head(content.head) else content.head + b"\n"
        with suppress(OSError):
            return fingerprint(head) == file.fingerprint and content.seek(cursor.offset, cursor.checksum)
        return False

    def is_copy(self, reader: LineReader, file: FileInfo) -> bool:
        """Say whether a file equals the part that `reader` has read, up to the end of the shorter one.

        A file that cannot be read counts as equal, so that it is not read as a new file.
        """
        try:
            other = open_log_file(file.path, zipped=file.zipped)
        except OSError:
            return True
        try:
            if isinstance(other, PlainLogFile):
                return reader.content.has_same_content(other)
            other.end_of_lines()  # decompresses to the end, which has_same_content compares
            return (
                not isinstance(reader.content, PlainLogFile)
                or bool(other.read_error)
                or other.has_same_content(reader.content)
            )
        except OSError:
            return True
        finally:
            other.close()

    def keep(self, reader: LineReader) -> None:
        """Keep a reader open; if there are more than MAX_OPEN, close the least recently used one."""
        self._readers.append(reader)
        if len(self._readers) > MAX_OPEN:
            self.close_reader(self._readers[0])

    def close_unused(self, cursors: Collection[Cursor]) -> None:
        """Close the readers that can continue at none of `cursors`."""
        for reader in self._readers[:]:  # a copy, since closing one removes it from the list
            if not any(reader.can_continue_at(cursor) for cursor in cursors):
                self.close_reader(reader)

    def close_reader(self, reader: LineReader) -> None:
        """Close one reader and remove it."""
        self._readers.remove(reader)
        reader.content.close()

    def close(self) -> None:
        """Close every file."""
        self._close_empty()
        for reader in self._readers[:]:
            self.close_reader(reader)
