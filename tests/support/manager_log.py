"""A fast alert log like the manager's: half-written lines, days, parts of days, archives, numbered alerts."""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

ALERT: Final = (
    '{"timestamp":"%s","rule":{"level":%d,"description":"sshd: brute force","id":"5712","groups":["syslog","sshd"]},'
    '"agent":{"id":"001","name":"web01","ip":"10.0.0.5"},"manager":{"name":"wazuh"},"id":"1769846400.%d",'
    '"full_log":"Jan 31 08:00:00 web01 sshd: Invalid user x from 203.0.113.7","location":"/var/log/secure"}\n'
)
HIGH_EVERY: Final = 10
"""Every tenth alert is of level 12, the others of level 5."""


def number_of(line: bytes) -> int:
    """Return the number of an alert."""
    return int(line.partition(b'"id":"1769846400.')[2].partition(b'"')[0])


class ManagerLog:
    """Writes to `folder`; `written` alerts are complete. `random` decides what happens when."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.current = folder / "alerts.json"
        self._folder, self._random = folder, random
        self._clock = datetime(2026, 1, 5, 8, tzinfo=UTC)
        self._part = 0
        self._file: IO[bytes] = BytesIO()
        self._old: list[Path] = []
        self.written = self.rotations = self.compressions = 0
        self._open()

    def append(self, count: int) -> None:
        """Write `count` alerts in two pieces; the first usually ends in the middle of a line."""
        text = "".join(self._alert(self.written + n) for n in range(count)).encode()
        cut = self._random.randrange(len(text))
        for piece in (text[:cut], text[cut:]):
            self._file.write(piece)
            self._file.flush()
        self.written += count

    def rotate(self) -> None:
        """Start the file of the next part of the day, or of the next day."""
        new_day = self._random.random() < 0.3
        self._part = 0 if new_day else self._part + 1
        if new_day:
            self._clock = (self._clock + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        self._old.append(self._path)
        self._open()
        self.rotations += 1

    def compress(self) -> None:
        """Compress one of the earlier files, as the manager does."""
        if not self._old:
            return
        path = self._old.pop(self._random.randrange(len(self._old)))
        with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(plain, packed)
        path.unlink()
        self.compressions += 1

    def close(self) -> None:
        """Close the current file."""
        self._file.close()

    def _alert(self, number: int) -> str:
        self._clock += timedelta(milliseconds=10)
        return ALERT % (f"{self._clock:%Y-%m-%dT%H:%M:%S}.000+0000", 5 if number % HIGH_EVERY else 12, number)

    def _open(self) -> None:
        self._file.close()
        part = f"-{self._part:03}" if self._part else ""
        self._path = self._folder / f"{self._clock:%Y/%b/ossec-alerts-%d}{part}.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab")
        self.current.unlink(missing_ok=True)
        self.current.hardlink_to(self._path)
