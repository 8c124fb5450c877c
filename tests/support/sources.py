"""Two sources for the producer's tests: lines in a list, and the alert log on the disk.

A test that passes with both shows that what it tests knows nothing of files and offsets.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from producer.alertlog import AlertLog
from producer.source import Batch, Lag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime
    from pathlib import Path

    from common.settings.moments import LogPosition
    from producer.source import Line, Source

STREAM = "items"
BYTES_PER_ITEM = 100_000
"""A read returns one item for each, so ten for the megabyte that the producer asks for."""


class Item(NamedTuple):
    """A line of a list: what is left of item `number` from `skip` on, or a part of that."""

    raw: bytes
    number: int
    skip: int = 0
    is_end: bool = True

    @property
    def stream(self) -> str:
        return STREAM

    @property
    def start(self) -> int:
        return self.number

    @property
    def end(self) -> int:
        return self.number + 1

    @property
    def id(self) -> str:
        return f"item-{self.number}" + (f"+{self.skip}" if self.skip else "")

    @property
    def location(self) -> str:
        return f"item {self.number} of the list"

    @property
    def next_cursor(self) -> str:
        return cursor_before(self.number + 1) if self.is_end else cursor_before(self.number, self.skip + len(self.raw))

    def slice(self, start: int, end: int) -> Item:
        return Item(self.raw[start:end], self.number, self.skip + start, self.is_end and end == len(self.raw))


class Items(list[Item]):
    """The items of one read."""

    stream = STREAM

    @property
    def start(self) -> int:
        return self[0].start if self else 0

    @property
    def end(self) -> int:
        return self[-1].end if self else 0

    def prefilter(
        self, reject: Callable[[bytes], object], undecided: tuple[type[Exception], ...]
    ) -> tuple[int, list[Item]]:
        def rejects(item: Item) -> bool:
            try:
                reject(item.raw)
            except undecided:
                return False
            return True

        return len(self), [item for item in self if not rejects(item)]


def cursor_before(number: int, skip: int = 0) -> str:
    """Return the cursor of ListSource before an item, or behind the first `skip` bytes of it."""
    return f"before-item-{number}" + (f"+{skip}" if skip else "")


class ListSource:
    """A source of lines in a list, which has no files and no offsets. `reads` holds the cursors that were read from."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._seen = 0
        self._woken = threading.Event()
        self.reads: list[str] = []

    def beginning(self) -> str:
        return cursor_before(0)

    def end(self) -> str:
        return cursor_before(len(self._lines))

    def at(self, moment: datetime) -> str:
        return cursor_before(moment.second)

    def position(self, position: LogPosition) -> str:
        return cursor_before(position.offset)

    def read(self, cursor: str, max_bytes: int) -> Batch:
        self.reads.append(cursor)
        start, skip = _parse(cursor)
        stop = min(len(self._lines), start + max(1, max_bytes // BYTES_PER_ITEM))
        items = Items(Item(self._lines[n], n) for n in range(start, stop))
        if skip and items:
            items[0] = Item(items[0].raw[skip:], start, skip)
        self._seen = len(self._lines)
        return Batch(items, cursor_before(max(start, stop)), at_end=stop >= len(self._lines))

    def wait(self, seconds: float) -> None:
        if len(self._lines) == self._seen:
            self._woken.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def close_unused(self, cursors: Collection[str]) -> None:
        pass

    def close(self) -> None:
        pass

    def lag(self, cursor: str) -> Lag:
        behind = max(0, len(self._lines) - _parse(cursor)[0])
        return Lag(behind, float(behind))


def _parse(cursor: str) -> tuple[int, int]:
    number, _, skip = cursor.removeprefix("before-item-").partition("+")
    return int(number), int(skip or 0)


class FileSource(AlertLog):
    """The alert log. `reads` holds the cursors that were read from."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, max_line_bytes=BYTES_PER_ITEM, poll_s=60)
        self.reads: list[str] = []

    def read(self, cursor: str, max_bytes: int) -> Batch:
        self.reads.append(cursor)
        return super().read(cursor, max_bytes)


class Log(Protocol):
    """What a manager writes to, and sources that read it."""

    def append(self, *lines: bytes) -> None:
        """Write lines."""

    def open(self) -> ListSource | FileSource:
        """Return a source as a new process has it."""


class ListLog:
    """Lines in a list."""

    def __init__(self, _directory: Path) -> None:
        self.lines: list[bytes] = []
        self._sources: list[ListSource] = []

    def append(self, *lines: bytes) -> None:
        self.lines += lines
        for source in self._sources:
            source.wake()

    def open(self) -> ListSource:
        self._sources.append(ListSource(self.lines))
        return self._sources[-1]


class FileLog:
    """An `alerts.json`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "alerts.json"

    def append(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def open(self) -> FileSource:
        return FileSource(self.path)


LOGS: tuple[Callable[[Path], Log], ...] = (ListLog, FileLog)


def read_all(source: Source, cursor: str) -> list[Line]:
    """Return all lines from `cursor` on."""
    lines: list[Line] = []
    while True:
        batch = source.read(cursor, BYTES_PER_ITEM)
        lines += batch.lines
        cursor = batch.cursor
        if batch.at_end:
            return lines
