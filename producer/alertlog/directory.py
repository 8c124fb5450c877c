"""Lists the files of the alert log with their fingerprints: `alerts.json` and, below its folder, one or more a day.

`YYYY/Mon/ossec-alerts-DD.json`, `…-DD-NNN.json` if the manager rotated by size or interval within the day, and
`.json.gz` of either once the day is over. The days are those of the manager's local time.

If `alerts.json` is a symbolic link, the dated files are next to its target, or its target is one of them.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from common.files import NOT_FOUND
from common.permissions import explain
from producer.alertlog.cursor import FileDate, dated_file_id, fingerprint, has_time, is_complete_head
from producer.alertlog.log_file import open_log_file, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.alertlog.cursor import Cursor
    from producer.alertlog.log_file import Inode

_MONTH_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_YEAR: Final = re.compile(r"[0-9]{4}")
_FILE: Final = re.compile(r"ossec-alerts-([0-9]{2})(?:-([0-9]{3,6}))?\.json(\.gz)?")
_TRAILER_BYTES: Final = 4
"""gzip ends with the length of its content, modulo 2**32 (RFC 1952, ISIZE)."""

_log = logging.getLogger("courier.producer")


CURRENT: Final = FileDate(date.max, 0)
"""The name of an `alerts.json` that is not also a dated file. It sorts as the newest."""


class FileInfo(NamedTuple):
    """One file. `fingerprint` is empty while it has no complete line, or if it cannot be read: then `problem` says why.

    A first line without a line end counts as complete if a newer file exists. For an `alerts.json` that is also a dated
    file, `name` is that of the dated file. `size` is in bytes on disk; `modified_at_s` is the modification time.
    """

    path: str
    name: FileDate
    zipped: bool
    inode: Inode
    size: int
    modified_at_s: float
    fingerprint: str
    problem: str
    provisional_fingerprint: str = ""
    """The fingerprint that it has if its first line ends here."""
    current: bool = False
    """Whether it is `alerts.json`."""

    @property
    def dated(self) -> FileDate | None:
        """The day and part in its name, or None if it has no dated name."""
        return None if self.name == CURRENT else self.name

    def may_be(self, cursor: Cursor) -> bool:
        """Say whether it can be the file of `cursor`, judging by the first line only."""
        if not self.fingerprint:
            return False
        file_ids = (dated_file_id(self.fingerprint, name) for name in (cursor.name or self.name, CURRENT))
        return cursor.file in {self.fingerprint, *file_ids}

    def length(self) -> int:
        """Return its uncompressed length in bytes; for a compressed file modulo 2**32, and 0 if it cannot be read."""
        if not self.zipped:
            return self.size
        try:
            with open(self.path, "rb") as archive:  # noqa: PTH123 — a path is a text here
                archive.seek(-_TRAILER_BYTES, os.SEEK_END)
                return int.from_bytes(archive.read(_TRAILER_BYTES), "little")
        except OSError:
            return 0


class LogDirectory:
    """The files that belong to the `alerts.json` at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._cache: dict[str, tuple[object, str, str, str]] = {}
        self._logged: set[str] = set()

    def oldest_first(self, since: date = date.min) -> list[FileInfo]:
        """Return the files from day `since` on, a compressed copy after its plain file, and `alerts.json` last."""
        found = [file for name in sorted(self._dated(since)) if (file := self._stat(*name))]
        current = self._stat(CURRENT, False, self._path)
        if current:
            dated = next((file.name for file in found if file.inode == current.inode), None)
            name = dated or _copied_from(current, found) or self._linked(current.inode)
            found.append(current._replace(name=name, current=True))
        return _finished(found)

    def _linked(self, inode: Inode) -> FileDate:
        """Return the name of an `alerts.json` that is still hard-linked to an earlier day's file; else CURRENT."""
        try:
            if os.stat(self._path).st_nlink == 1:  # noqa: PTH116 — as below
                return CURRENT
        except OSError:  # deleted meanwhile, or not permitted: opening it reports that
            return CURRENT
        older = (self._stat(*name) for name in self._dated(date.min))
        return next((file.name for file in older if file and file.inode == inode), CURRENT)

    def named(self, name: str) -> FileDate:
        """Return the name of the file with this path below the folder; a path without a folder is CURRENT."""
        year, _, rest = name.partition("/")
        month, _, file = rest.partition("/")
        found, number = _FILE.fullmatch(file), _MONTHS.get(month)
        if not (found and number and _YEAR.fullmatch(year)):
            return CURRENT
        try:
            return FileDate(date(int(year), number, int(found[1])), int(found[2] or 0))
        except ValueError:  # no such day
            return CURRENT

    def _dated(self, since: date) -> Iterator[tuple[FileDate, bool, str]]:
        root = root_of(self._path)
        for year in self._list(root):
            if not _YEAR.fullmatch(year) or int(year) < since.year:
                continue
            for month in self._list(f"{root}/{year}"):
                number = _MONTHS.get(month, 0)
                if number and (int(year), number) >= (since.year, since.month):
                    yield from self._month(int(year), number, f"{root}/{year}/{month}")

    def _month(self, year: int, month: int, folder: str) -> Iterator[tuple[FileDate, bool, str]]:
        for entry in self._list(folder):
            found = _FILE.fullmatch(entry)
            if not found:
                continue
            try:
                day = date(year, month, int(found[1]))
            except ValueError:
                continue
            yield FileDate(day, int(found[2] or 0)), bool(found[3]), f"{folder}/{entry}"

    def _list(self, folder: str) -> list[str]:
        try:
            return os.listdir(folder)  # noqa: PTH208 — only names are needed, and Path objects cost ten times as much
        except NOT_FOUND:
            return []
        except OSError as error:
            if folder not in self._logged:
                self._logged.add(folder)
                _log.error("%s: cannot be listed (%s); alerts in it are not read", folder, explain(error))
            return []

    def _stat(self, name: FileDate, zipped: bool, path: str) -> FileInfo | None:
        try:
            status = os.stat(path)  # noqa: PTH116 — as above
        except NOT_FOUND:
            return None
        except OSError as error:  # it may exist, so it is returned with the error and reported when it is skipped
            return FileInfo(path, name, zipped, (0, 0), 0, 0.0, "", error.strerror or str(error))
        if not stat.S_ISREG(status.st_mode):
            return None
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        known, file_id, problem, unfinished = self._cache.get(path, (None, "", "", ""))
        if known != seen:
            file_id, problem, unfinished = _identify(path, zipped=zipped)
            self._cache[path] = (seen, file_id, problem, unfinished)
        inode = (status.st_dev, status.st_ino)
        return FileInfo(path, name, zipped, inode, status.st_size, status.st_mtime, file_id, problem, unfinished)

    def invalidate(self, path: str) -> None:
        """Read the fingerprint of this file again next time, even if its size and times did not change."""
        self._cache.pop(path, None)


def _copied_from(current: FileInfo, files: Sequence[FileInfo]) -> FileDate | None:
    """Return the name of the newest dated file that `alerts.json` is a copy of, if there is one."""
    alike = (file for file in reversed(files) if not file.zipped and file.fingerprint == current.fingerprint)
    return next((file.name for file in alike if current.fingerprint and _are_same(current.path, file.path)), None)


def _are_same(path: str, other: str) -> bool:
    try:
        with closing(open_plain(path)) as one, closing(open_plain(other)) as two:
            one.offset = one.size()
            return one.has_same_content(two)
    except OSError:
        return False


def root_of(path: str) -> str:
    """Return the folder that holds the year folders of the `alerts.json` at `path`."""
    if not os.path.islink(path):  # noqa: PTH114 — as above
        return os.path.dirname(path)  # noqa: PTH120 — as above
    target = Path(os.path.realpath(path))
    year, month = target.parent.parent, target.parent.name
    is_dated = _FILE.fullmatch(target.name) and month in _MONTHS and _YEAR.fullmatch(year.name)
    return str(year.parent if is_dated else target.parent)


def file_id_of(file: FileInfo, files: Sequence[FileInfo]) -> str:
    """Return the id of a file among `files`, oldest first: its fingerprint, unless an older file has the same one.

    A first line without a time, such as the empty one that `echo > alerts.json` leaves, does not identify a file.
    """
    shared = any(other.fingerprint == file.fingerprint and other.name < file.name for other in files)
    is_shared = shared or not has_time(file.fingerprint)
    return dated_file_id(file.fingerprint, file.name) if is_shared else file.fingerprint


def _finished(files: list[FileInfo]) -> list[FileInfo]:
    """Use the provisional fingerprint of a file whose first line has no line end, if a later file has lines."""
    last = max((file.name for file in files if file.fingerprint), default=None)
    return [
        file._replace(fingerprint=file.provisional_fingerprint)
        if file.provisional_fingerprint and not file.fingerprint and last and file.name < last
        else file
        for file in files
    ]


def _identify(path: str, *, zipped: bool) -> tuple[str, str, str]:
    """Return a file's fingerprint, the error if it cannot be read, and the fingerprint of an incomplete first line."""
    try:
        content = open_log_file(path, zipped=zipped)
    except FileNotFoundError:
        return "", "", ""
    except OSError as error:
        return "", explain(error), ""
    head, damage = content.head, content.read_error
    content.close()
    if is_complete_head(head):
        return fingerprint(head), "", ""
    return "", damage, fingerprint(head + b"\n") if head and not damage else ""
