"""Which files the alert log has, and which fingerprint each: `alerts.json` and, below its folder, one or more a day.

`YYYY/Mon/ossec-alerts-DD.json`, `…-DD-NNN.json` where a size or an interval made it begin anew within the day, and
`.json.gz` of either once the day is over. The days are those of the manager's local time.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from datetime import date
from typing import TYPE_CHECKING, Final, NamedTuple

from common.files import NOT_FOUND
from common.permissions import reason
from producer.alertlog.content import open_content
from producer.alertlog.position import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from producer.alertlog.content import Inode

_MONTH_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_YEAR: Final = re.compile(r"[0-9]{4}")
_FILE: Final = re.compile(r"ossec-alerts-([0-9]{2})(?:-([0-9]{3,6}))?\.json(\.gz)?")

_log = logging.getLogger("courier.producer")


class Name(NamedTuple):
    """What a dated file is called, in the order in which they were written."""

    day: date
    part: int


CURRENT: Final = Name(date.max, 0)
"""Stands for `alerts.json`, which has no date and is the newest."""


class File(NamedTuple):
    """One file. `fingerprint` is empty while it has no complete line, or if it cannot be read: then `problem` says why.

    `size` is that on disk, in bytes; `changed_at_s` its modification time.
    """

    path: str
    name: Name
    zipped: bool
    inode: Inode
    size: int
    changed_at_s: float
    fingerprint: str
    problem: str


class Folder:
    """The files that belong to the `alerts.json` at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._root = str(path.parent)
        self._known: dict[str, tuple[object, str, str]] = {}
        self._told: set[str] = set()

    def oldest_first(self, since: date = date.min) -> Iterator[File]:
        """Yield the files of days from `since` on, a compressed one after its plain one, `alerts.json` last."""
        return (file for found in self._names(since) if (file := self._look(*found)))

    def newest_first(self) -> Iterator[File]:
        """Yield all files, the newest first."""
        return (file for found in reversed(self._names(date.min)) if (file := self._look(*found)))

    def named(self, name: str) -> Name:
        """Return what the file with this path below the folder is called; without a folder it is the current one."""
        year, _, rest = name.partition("/")
        month, _, file = rest.partition("/")
        found, number = _FILE.fullmatch(file), _MONTHS.get(month)
        if not (found and number and _YEAR.fullmatch(year)):
            return CURRENT
        try:
            return Name(date(int(year), number, int(found[1])), int(found[2] or 0))
        except ValueError:  # no such day
            return CURRENT

    def _names(self, since: date) -> list[tuple[Name, bool, str]]:
        return [*sorted(self._dated(since)), (CURRENT, False, self._path)]

    def _dated(self, since: date) -> Iterator[tuple[Name, bool, str]]:
        for year in self._list(self._root):
            if not _YEAR.fullmatch(year) or int(year) < since.year:
                continue
            for month in self._list(f"{self._root}/{year}"):
                number = _MONTHS.get(month, 0)
                if number and (int(year), number) >= (since.year, since.month):
                    yield from self._month(int(year), number, f"{self._root}/{year}/{month}")

    def _month(self, year: int, month: int, folder: str) -> Iterator[tuple[Name, bool, str]]:
        for entry in self._list(folder):
            found = _FILE.fullmatch(entry)
            if not found:
                continue
            try:
                day = date(year, month, int(found[1]))
            except ValueError:
                continue
            yield Name(day, int(found[2] or 0)), bool(found[3]), f"{folder}/{entry}"

    def _list(self, folder: str) -> list[str]:
        try:
            return os.listdir(folder)  # noqa: PTH208 — names are all we need, and paths cost ten times as much
        except NOT_FOUND:
            return []
        except OSError as error:
            if folder not in self._told:
                self._told.add(folder)
                _log.error("%s: cannot be listed (%s): the alerts in it are not read", folder, reason(error))
            return []

    def _look(self, name: Name, zipped: bool, path: str) -> File | None:
        try:
            status = os.stat(path)  # noqa: PTH116 — as above
        except NOT_FOUND:
            return None
        except OSError as error:  # it may be there: whoever passes over it has to say so
            return File(path, name, zipped, (0, 0), 0, 0.0, "", error.strerror or str(error))
        if not stat.S_ISREG(status.st_mode):
            return None
        seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        known, mark, problem = self._known.get(path, (None, "", ""))
        if known != seen:
            mark, problem = _identify(path, zipped=zipped)
            self._known[path] = (seen, mark, problem)
        inode = (status.st_dev, status.st_ino)
        return File(path, name, zipped, inode, status.st_size, status.st_mtime, mark, problem)

    def forget(self, path: str) -> None:
        """Look into this file anew next time, even if it seems unchanged."""
        self._known.pop(path, None)


def _identify(path: str, *, zipped: bool) -> tuple[str, str]:
    """Return the fingerprint of a file and what is wrong with it; one of the two is empty, or both."""
    try:
        content = open_content(path, zipped=zipped)
    except FileNotFoundError:
        return "", ""
    except OSError as error:
        return "", reason(error)
    head, damage = content.head, content.damage
    content.close()
    return (fingerprint(head), "") if head else ("", damage)
