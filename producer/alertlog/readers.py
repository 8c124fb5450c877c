"""The open files: one reader for each place where somebody reads, so that each goes on where it was."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from producer.alertlog import order
from producer.alertlog.content import Plain, open_content, open_plain
from producer.alertlog.folder import CURRENT, File
from producer.alertlog.position import Place, dated_mark, fingerprint, is_whole
from producer.alertlog.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from producer.alertlog.folder import Folder

MOST: Final = 32
"""More than this many integrations that all read somewhere else share readers, and open files again and again."""


class Readers:
    """Opens readers and keeps them for the next read from where they are."""

    def __init__(self, folder: Folder, max_line_bytes: int) -> None:
        self._folder, self._max_line_bytes = folder, max_line_bytes
        self._kept: list[Reader] = []
        self._empty: Plain | None = None
        self._waiting = ""

    def at(self, place: Place) -> Reader | None:
        """Return a kept reader that can go on from `place`."""
        found = next((reader for reader in self._kept if reader.serves(place)), None) or self._begun(place)
        if found:
            self._kept.remove(found)
            self._kept.append(found)
        return found

    def hold_empty(self, place: Place, files: Sequence[File]) -> None:
        """Hold `alerts.json` open while we wait for its first line: it may get some and be gone by the next look."""
        self._waiting = place.file
        empty = next((file for file in files if file.current and not file.fingerprint), None)
        if not empty or (self._empty and self._empty.inode == empty.inode):
            return
        self._let_go_of_empty()
        with suppress(OSError):
            self._empty = open_plain(empty.path)

    def begun(self, place: Place, files: Sequence[File]) -> File | None:
        """Return the file that is held so since we waited at `place`, if now it has a line and is none of `files`."""
        if not self._empty or place.file != self._waiting:
            return None
        seen = next((file for file in files if file.inode == self._empty.inode), None)
        if seen:
            if seen.fingerprint:
                self._let_go_of_empty()
            return None
        with suppress(OSError):
            self._empty.read_head()
        if not is_whole(self._empty.head):
            return None
        path, inode, mark = "the former alerts.json", self._empty.inode, fingerprint(self._empty.head)
        return File(path, CURRENT, False, inode, 0, 0.0, mark, "", current=True)

    def _begun(self, place: Place) -> Reader | None:
        """Make a reader of the file that is held so, if it is the one of `place`."""
        if not self._empty:
            return None
        mark = fingerprint(self._empty.head)
        if place not in {Place(mark, 0), Place(dated_mark(mark, CURRENT), 0)}:
            return None
        reader = Reader(self._empty, "the former alerts.json", self._max_line_bytes, place.file, None)
        self._empty = None
        self._kept.append(reader)
        return reader

    def _let_go_of_empty(self) -> None:
        if self._empty:
            self._empty.close()
        self._empty = None

    def open(self, place: Place, files: Sequence[File]) -> Reader | None:
        """Open the best of `files` that has the mark and, before the offset, what was sealed or the end of a line."""
        for file in order.copies(files, place):
            try:
                content = open_content(file.path, zipped=file.zipped)
            except OSError:
                continue
            with suppress(OSError):
                head = content.head if is_whole(content.head) else content.head + b"\n"
                if fingerprint(head) == file.fingerprint and content.seek(place.offset, place.seal):
                    name = place.name or file.dated
                    return Reader(content, file.path, self._max_line_bytes, place.file, name)
            content.close()
            self._folder.forget(file.path)
        return None

    def is_copy(self, reader: Reader, file: File) -> bool:
        """Say whether a file and what `reader` has read are the same, as far as the shorter of them goes."""
        try:
            other = open_content(file.path, zipped=file.zipped)
        except OSError:
            return True
        try:
            if isinstance(other, Plain):
                return reader.content.is_same(other)
            other.end_of_lines()  # goes to its end
            return not isinstance(reader.content, Plain) or bool(other.damage) or other.is_same(reader.content)
        except OSError:
            return True
        finally:
            other.close()

    def keep(self, reader: Reader) -> None:
        """Keep it; let go of the one that has not been used for longest if there are too many."""
        self._kept.append(reader)
        if len(self._kept) > MOST:
            self.drop(self._kept[0])

    def keep_only(self, places: Collection[Place]) -> None:
        """Let go of those that can go on from none of `places`."""
        for reader in self._kept[:]:
            if not any(reader.serves(place) for place in places):
                self.drop(reader)

    def drop(self, reader: Reader) -> None:
        """Let go of a kept one."""
        self._kept.remove(reader)
        reader.content.close()

    def close(self) -> None:
        """Let go of all."""
        self._let_go_of_empty()
        for reader in self._kept[:]:
            self.drop(reader)
