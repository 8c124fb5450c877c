"""An alert log that grows for half an hour as the manager's does: days, parts of days, archives, half-written lines.

It keeps little on disk: what has reached the target is packed when its day is over, and deleted.
"""

from __future__ import annotations

import gzip
import shutil
import threading
import time
from datetime import date, timedelta
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from ops.bench.alerts import alerts

if TYPE_CHECKING:
    from pathlib import Path

FIRST_DAY: Final = date(2026, 1, 5)
PARTS_A_DAY: Final = 3
TICK_S: Final = 0.05
"""How often a block is written: at a thousand alerts a second, 50 at once."""


class _Part(NamedTuple):
    path: Path
    end: int
    """How many alerts were written by the time that it was left."""


class RotatingLog:
    """Writes to `current`, a hard link to the file of the day; `written` alerts are complete.

    One thread may append while another rotates.
    """

    def __init__(self, current: Path) -> None:
        """Take over the alert log at `current`, or begin one."""
        self._current = current
        self._lock = threading.Lock()
        self._parts: list[_Part] = []
        self.written = self.rotations = 0
        current.touch()
        self._path = self._dated()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.hardlink_to(current)
        self._file: IO[bytes] = self._path.open("ab", buffering=0)

    def append(self, count: int) -> None:
        """Write that many alerts in two pieces, the first of which ends within a line."""
        block = b"".join(alerts(count, first=self.written))
        cut = len(block) // 2
        with self._lock:
            self._file.write(block[:cut])
            self._file.write(block[cut:])
            self.written += count

    def rotate(self) -> None:
        """Begin the next part of the day, or the next day."""
        with self._lock:
            self._file.close()
            self._parts.append(_Part(self._path, self.written))
            self.rotations += 1
            self._path = self._dated()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
            self._current.unlink()
            self._current.hardlink_to(self._path)

    def tidy(self, arrived: int) -> None:
        """Pack what is of a former day, and delete archives of which nothing is needed: the first `arrived` alerts."""
        for n, part in enumerate(self._parts):
            if _is_plain(part.path) and not self._is_of_today(n):
                self._parts[n] = part._replace(path=_pack(part.path))
        for part in [one for one in self._parts if not _is_plain(one.path) and one.end <= arrived]:
            part.path.unlink()
        self._parts = [part for part in self._parts if part.path.exists()]

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _is_of_today(self, n: int) -> bool:
        return len(self._parts) - n <= self.rotations % PARTS_A_DAY

    def _dated(self) -> Path:
        days, part = divmod(self.rotations, PARTS_A_DAY)
        day = FIRST_DAY + timedelta(days=days)
        return self._current.parent / f"{day:%Y/%b/ossec-alerts-%d}{f'-{part:03}' if part else ''}.json"


class Writing(threading.Thread):
    """Appends to the log `per_s` alerts a second until it is told to stop; late blocks are made up for."""

    def __init__(self, log: RotatingLog, per_s: float) -> None:
        super().__init__(daemon=True)
        self._log, self._per_s = log, per_s
        self._over = threading.Event()

    def run(self) -> None:
        """Write a block at each tick."""
        start_s, wrote = time.monotonic(), 0
        while not self._over.wait(TICK_S):
            due = min(int((time.monotonic() - start_s) * self._per_s) - wrote, int(self._per_s))
            if due > 0:
                self._log.append(due)
                wrote += due

    def stop(self) -> None:
        """Return once nothing more is written."""
        self._over.set()
        self.join()


def _is_plain(path: Path) -> bool:
    return path.suffix == ".json"


def _pack(path: Path) -> Path:
    """Do as the manager's housekeeping does. Return the archive."""
    packed = path.with_name(f"{path.name}.gz")
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as archive:
        shutil.copyfileobj(plain, archive)
    path.unlink()
    return packed
