"""The open files: one reader for each place where somebody reads, so that each goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from producer.alertlog import order
from producer.alertlog.content import open_content
from producer.alertlog.position import fingerprint
from producer.alertlog.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.alertlog.folder import File, Folder
    from producer.alertlog.position import Place

MOST: Final = 32
"""More than this many integrations that all read somewhere else share readers, and open files again and again."""


class Readers:
    """Opens readers and keeps them for the next read from where they are."""

    def __init__(self, folder: Folder, max_line_bytes: int) -> None:
        self._folder, self._max_line_bytes = folder, max_line_bytes
        self._kept: list[Reader] = []

    def at(self, place: Place) -> Reader | None:
        """Return a kept reader that can go on from `place`."""
        found = next((reader for reader in self._kept if reader.serves(*place)), None)
        if found:
            self._kept.remove(found)
            self._kept.append(found)
        return found

    def open(self, place: Place, files: Sequence[File]) -> Reader | None:
        """Open the best of `files` that has the fingerprint and a line that starts, or may start, at the offset."""
        for file in order.copies(files, place.file):
            try:
                content = open_content(file.path, zipped=file.zipped)
            except OSError:
                continue
            if fingerprint(content.head) == place.file and content.seek(place.offset):
                return Reader(content, file.path, self._max_line_bytes)
            content.close()
            self._folder.forget(file.path)
        return None

    def keep(self, reader: Reader) -> None:
        """Keep it; let go of the one that has not been used for longest if there are too many."""
        self._kept.append(reader)
        if len(self._kept) > MOST:
            self.drop(self._kept[0])

    def drop(self, reader: Reader) -> None:
        """Let go of a kept one."""
        self._kept.remove(reader)
        reader.content.close()

    def close(self) -> None:
        """Let go of all."""
        for reader in self._kept[:]:
            self.drop(reader)
