"""Shared by the tests of the alert log: lines with a time, dated files, and a reader that keeps its cursor."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producer.alertlog import AlertLog
from producer.alertlog.log_file import PlainLogFile

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from producer.source import Line, SkippedRange

MAX_LINE_BYTES = 64 * 1024
NOW = datetime(2024, 5, 20, 12, 0, tzinfo=UTC)


def line(text: str, time: str = "2024-05-11T12:00:00.000+0000") -> bytes:
    return f'{{"timestamp":"{time}","id":"{text}"}}\n'.encode()


def day_lines(day: int, *texts: str) -> bytes:
    return b"".join(line(text, f"2024-05-{day:02}T12:00:{at:02}.000+0000") for at, text in enumerate(texts))


class Log:
    """A folder with an alert log in it, and one reader."""

    def __init__(self, root: Path) -> None:
        self.path = root / "alerts.json"
        self.now_s = NOW.timestamp()
        self.skipped: list[SkippedRange] = []
        self.log = self.open()
        self.cursor = self.log.end()

    def open(self) -> AlertLog:
        return AlertLog(self.path, max_line_bytes=MAX_LINE_BYTES, now=lambda: self.now_s)

    def restart(self) -> None:
        self.log.close()
        self.log = self.open()

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def dated(self, day: int, part: int = 0) -> Path:
        name = f"ossec-alerts-{day:02}" + (f"-{part:03}" if part else "")
        path = self.path.parent / "2024" / "May" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def rotate(self, path: Path, data: bytes = b"") -> None:
        path.write_bytes(data)
        self.path.unlink(missing_ok=True)
        self.path.hardlink_to(path)

    def read_lines(self, max_bytes: int = 100) -> list[Line]:
        """Read until the end of the log."""
        lines: list[Line] = []
        while True:
            batch = self.log.read(self.cursor, max_bytes)
            self.cursor = batch.cursor
            lines += batch.lines
            self.skipped += batch.skipped
            if batch.at_end:
                return lines

    def read(self) -> list[str]:
        """Read until the end of the log and return the ids of the alerts."""
        return [line.raw.rpartition(b'"id":"')[2][:-2].decode() for line in self.read_lines()]

    def losses(self) -> list[tuple[str, str]]:
        return [(str(skipped.reason), skipped.detail.replace(str(self.path.parent), "")) for skipped in self.skipped]


def compress(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each read of a plain file adds its size."""
    read = list[int]()
    peek, take = PlainLogFile.peek, PlainLogFile._take

    def counted_peek(file: PlainLogFile, offset: int, size: int) -> bytes:
        read.append(size)
        return peek(file, offset, size)

    def counted_take(file: PlainLogFile, max_bytes: int) -> bytes:
        read.append(max_bytes)
        return take(file, max_bytes)

    monkeypatch.setattr(PlainLogFile, "peek", counted_peek)
    monkeypatch.setattr(PlainLogFile, "_take", counted_take)
    return read
