"""The open files: one reader for each place where somebody reads, so that each goes on where it was."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from producer.alertlog import rotation
from producer.alertlog.cursor import Cursor, dated_file_id, fingerprint, is_complete_head
from producer.alertlog.directory import CURRENT, FileInfo
from producer.alertlog.line_reader import LineReader
from producer.alertlog.log_file import PlainLogFile, open_log_file, open_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from producer.alertlog.directory import LogDirectory

MAX_OPEN: Final = 32
"""More than this many integrations that all read somewhere else share readers, and open files again and again."""


class OpenFiles:
    """Opens readers and keeps them for the next read from where they are."""

    def __init__(self, folder: LogDirectory, max_line_bytes: int) -> None:
        self._folder, self._max_line_bytes = folder, max_line_bytes
        self._readers: list[LineReader] = []
        self._empty: PlainLogFile | None = None
        self._expected_cursor = ""

    def reader_at(self, place: Cursor) -> LineReader | None:
        """Return a kept reader that can go on from `place`."""
        found = next(
            (reader for reader in self._readers if reader.can_continue_at(place)), None
        ) or self._reader_of_started(place)
        if found:
            self._readers.remove(found)
            self._readers.append(found)
        return found

    def keep_empty_open(self, place: Cursor, files: Sequence[FileInfo]) -> None:
        """Hold `alerts.json` open while we wait for its first line: it may get some and be gone by the next look."""
        self._expected_cursor = place.file
        empty = next((file for file in files if file.current and not file.fingerprint), None)
        if not empty or (self._empty and self._empty.inode == empty.inode):
            return
        self._close_empty()
        with suppress(OSError):
            self._empty = open_plain(empty.path)

    def started_file(self, place: Cursor, files: Sequence[FileInfo]) -> FileInfo | None:
        """Return the file that is held so since we waited at `place`, if now it has a line and is none of `files`."""
        if not self._empty or place.file != self._expected_cursor:
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
        path, inode, mark = "the former alerts.json", self._empty.inode, fingerprint(self._empty.head)
        return FileInfo(path, CURRENT, False, inode, 0, 0.0, mark, "", current=True)

    def _reader_of_started(self, place: Cursor) -> LineReader | None:
        """Make a reader of the file that is held so, if it is the one of `place`."""
        if not self._empty:
            return None
        mark = fingerprint(self._empty.head)
        if place not in {Cursor(mark, 0), Cursor(dated_file_id(mark, CURRENT), 0)}:
            return None
        reader = LineReader(self._empty, "the former alerts.json", self._max_line_bytes, place.file, None)
        self._empty = None
        self._readers.append(reader)
        return reader

    def _close_empty(self) -> None:
        if self._empty:
            self._empty.close()
        self._empty = None

    def open(self, place: Cursor, files: Sequence[FileInfo]) -> LineReader | None:
        """Open the best of `files` that has the mark and, before the offset, what was sealed or the end of a line."""
        for file in rotation.copies_of(files, place):
            try:
                content = open_log_file(file.path, zipped=file.zipped)
            except OSError:
                continue
            with suppress(OSError):
                head = content.head if is_complete_head(content.head) else content.head + b"\n"
                if fingerprint(head) == file.fingerprint and content.seek(place.offset, place.checksum):
                    name = place.name or file.dated
                    return LineReader(content, file.path, self._max_line_bytes, place.file, name)
            content.close()
            self._folder.invalidate(file.path)
        return None

    def is_copy(self, reader: LineReader, file: FileInfo) -> bool:
        """Say whether a file and what `reader` has read are the same, as far as the shorter of them goes."""
        try:
            other = open_log_file(file.path, zipped=file.zipped)
        except OSError:
            return True
        try:
            if isinstance(other, PlainLogFile):
                return reader.content.has_same_content(other)
            other.end_of_lines()  # goes to its end
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
        """Keep it; let go of the one that has not been used for longest if there are too many."""
        self._readers.append(reader)
        if len(self._readers) > MAX_OPEN:
            self.close_reader(self._readers[0])

    def close_unused(self, places: Collection[Cursor]) -> None:
        """Let go of those that can go on from none of `places`."""
        for reader in self._readers[:]:
            if not any(reader.can_continue_at(place) for place in places):
                self.close_reader(reader)

    def close_reader(self, reader: LineReader) -> None:
        """Let go of a kept one."""
        self._readers.remove(reader)
        reader.content.close()

    def close(self) -> None:
        """Let go of all."""
        self._close_empty()
        for reader in self._readers[:]:
            self.close_reader(reader)
