"""An alert log that grows as the manager's does: days, parts of days, archives, half-written lines.

It needs little disk space: files of past days are compressed, and deleted once their alerts have arrived.
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
    """The number of alerts written before the next part began."""


class RotatingLog:
    """Writes to `current`, a hard link to the file of the day; `written` alerts are complete.

    One thread may append while another rotates.
    """

    def __init__(self, current: Path) -> None:
        """Continue the alert log at `current`, or create it."""
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
        """Write `count` alerts in two pieces; the first ends in the middle of a line."""
        block = b"".join(alerts(count, first=self.written))
        cut = len(block) // 2
        with self._lock:
            self._file.write(block[:cut])
            self._file.write(block[cut:])
            self.written += count

    def rotate(self) -> None:
        """Start the file of the next part of the day, or of the next day."""
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
        """Compress the files of past days, and delete archives whose alerts are among the first `arrived`."""
        for n, part in enumerate(self._parts):
            if _is_plain(part.path) and not self._is_of_today(n):
                self._parts[n] = part._replace(path=_pack(part.path))
        for part in [one for one in self._parts if not _is_plain(one.path) and one.end <= arrived]:
            part.path.unlink()
        self._parts = [part for part in self._parts if part.path.exists()]

    def close(self) -> None:
        """Close the current file."""
        self._file.close()

    def _is_of_today(self, n: int) -> bool:
        return len(self._parts) - n <= self.rotations % PARTS_A_DAY

    def _dated(self) -> Path:
        days, part = divmod(self.rotations, PARTS_A_DAY)
        day = FIRST_DAY + timedelta(days=days)
        return self._current.parent / f"{day:%Y/%b/ossec-alerts-%d}{f'-{part:03}' if part else ''}.json"


class Writing(threading.Thread):
    """Appends `per_s` alerts a second until `stop`; after a delay it catches up."""

    def __init__(self, log: RotatingLog, per_s: float) -> None:
        super().__init__(daemon=True)
        self._log, self._per_s = log, per_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """Write a block at each tick."""
        start_s, wrote = time.monotonic(), 0
        while not self._stopping.wait(TICK_S):
            due = min(int((time.monotonic() - start_s) * self._per_s) - wrote, int(self._per_s))
            if due > 0:
                self._log.append(due)
                wrote += due

    def stop(self) -> None:
        """Stop writing and wait for the thread to end."""
        self._stopping.set()
        self.join()


def _is_plain(path: Path) -> bool:
    return path.suffix == ".json"


def _pack(path: Path) -> Path:
    """Compress a file as the manager does (gzip). Return the archive."""
    packed = path.with_name(f"{path.name}.gz")
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as archive:
        shutil.copyfileobj(plain, archive)
    path.unlink()
    return packed
