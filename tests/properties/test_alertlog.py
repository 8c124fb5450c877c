"""Whatever happens to the alert log's files: what can be had is delivered once, in order; the rest at most once.

The machine does what the manager, its housekeeping and its operators do to the files, and what a producer does to
its reader, in any order.
"""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from producer.alertlog import AlertLog
from producer.alertlog.position import fingerprint
from producer.source import Loss

MAX_LINE_BYTES = 300
OVERLONG = b"x" * 400


class DayFile:
    """One dated file: all its complete lines in order, and the half-written one at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self.half = b""
        self.was_copied = False
        """Then a reader may have been in the copy, and cannot know that the other one had more and was emptied."""


class Files(RuleBasedStateMachine):
    """What is on disk (`days`, of which the last is current) and what was read of it (`got`)."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.current = self.root / "alerts.json"
        self.clock = datetime(2024, 5, 11, 12, 0, tzinfo=UTC)
        self.part = self.count = 0
        self.days: list[DayFile] = []
        self.owed: list[bytes] = []
        self.lost: set[bytes] = set()
        self.got: list[bytes] = []
        self.passed: set[Loss] = set()
        self.writer: IO[bytes] = BytesIO()
        self.half_bytes = b""
        self.copied = False
        self.cut: set[bytes] = set()
        self.log = self.new_log()

    @initialize(lines=st.integers(0, 3), at_end=st.booleans())
    def begin(self, lines: int, at_end: bool) -> None:
        self.new_file()
        self.append(lines)
        self.cursor = self.log.end() if at_end else self.log.beginning()
        if at_end:
            self.owed.clear()

    def now_s(self) -> float:
        return self.clock.timestamp()

    def new_file(self) -> None:
        self.writer.close()
        name = f"ossec-alerts-{self.clock:%d}" + (f"-{self.part:03}" if self.part else "")
        path = self.root / f"{self.clock:%Y/%b}" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = path.open("ab", buffering=0)
        self.current.unlink(missing_ok=True)
        self.current.hardlink_to(path)
        self.days.append(DayFile(path))
        self.copied = False

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def line(self) -> bytes:
        self.clock += timedelta(seconds=1)
        self.count += 1
        return f'{{"timestamp":"{self.clock:%Y-%m-%dT%H:%M:%S}.000+0000","n":{self.count}}}'.encode()

    # What the manager does.

    @rule(lines=st.integers(1, 4))
    def append(self, lines: int) -> None:
        for _ in range(lines):
            day, line = self.days[-1], self.days[-1].half or self.line()
            self.write(line[len(self.half_bytes) :] + b"\n")
            self.half_bytes, day.half = b"", b""
            day.lines.append(line)
            self.owed.append(line)

    @precondition(lambda self: not self.half_bytes)
    @rule(share=st.floats(0.1, 0.9))
    def append_half(self, share: float) -> None:
        line = self.days[-1].half = self.line()
        self.half_bytes = line[: int(len(line) * share)]
        self.write(self.half_bytes)

    @precondition(lambda self: not self.half_bytes)
    @rule()
    def append_overlong(self) -> None:
        self.append(1)  # the file is known by another line
        self.write(OVERLONG + b"\n")

    @rule(new_day=st.booleans())
    def rotate(self, new_day: bool) -> None:
        self.half_bytes = b""
        old = self.days[-1].path
        if not old.stat().st_size:
            old.unlink()
        self.clock += timedelta(seconds=600)
        if new_day:
            self.clock = (self.clock + timedelta(days=1)).replace(hour=0, minute=0)
        self.part = 0 if new_day else self.part + 1
        self.new_file()

    @precondition(lambda self: len(self.days) > 1)
    @rule(data=st.data())
    def compress(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.days[:-1])).path
        if path.exists():
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    # What operators do.

    @precondition(lambda self: not self.copied)
    @rule()
    def truncate(self) -> None:
        self.writer.truncate(0)
        unread = [line for line in self.owed if line in self.days[-1].lines]
        if (
            unread
            and not self.days[-1].was_copied
            and self.cursor.startswith(fingerprint(self.days[-1].lines[0] + b"\n"))
        ):
            self.cut.update(unread)
        self.lose(unread)
        self.days[-1].lines.clear()
        self.half_bytes = self.days[-1].half = b""

    @precondition(lambda self: len(self.days) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        day = data.draw(st.sampled_from(self.days[:-1]))
        day.path.unlink(missing_ok=True)
        day.path.with_name(f"{day.path.name}.gz").unlink(missing_ok=True)
        self.lose([line for line in self.owed if line in day.lines])

    def lose(self, lines: list[bytes]) -> None:
        self.lost.update(lines)
        self.owed = [line for line in self.owed if line not in self.lost]

    @rule()
    def unlink_current(self) -> None:
        self.current.unlink(missing_ok=True)

    @rule()
    def relink_current(self) -> None:
        self.current.unlink(missing_ok=True)
        self.current.hardlink_to(self.days[-1].path)
        self.copied = False

    @rule()
    def copy_over_current(self) -> None:
        copy = self.root / "copy"
        shutil.copy(self.days[-1].path, copy)
        copy.replace(self.current)
        self.copied = self.days[-1].was_copied = True

    # What the producer does.

    @rule(max_bytes=st.sampled_from([1, 100, 100_000]), take=st.none() | st.integers(1, 3))
    def read(self, max_bytes: int, take: int | None) -> None:
        """Read; with `take`, as if the backlog had room for only so many."""
        batch = self.log.read(self.cursor, max_bytes)
        some = batch.lines[:take]
        self.cursor = batch.cursor if len(some) == len(batch.lines) else some[-1].after
        self.passed.update(passed.loss for passed in batch.passed)
        self.got += [line.raw for line in some]
        for line in some:
            if line.raw in self.owed:
                self.owed.remove(line.raw)

    def new_log(self) -> AlertLog:
        return AlertLog(self.current, max_line_bytes=MAX_LINE_BYTES, now=self.now_s)

    @rule()
    def restart_reader(self) -> None:
        self.log.close()
        self.log = self.new_log()

    @invariant()
    def nothing_comes_twice(self) -> None:
        assert len(set(self.got)) == len(self.got)

    @invariant()
    def what_comes_is_in_order(self) -> None:
        numbers = [int(line[:-1].rpartition(b":")[2]) for line in self.got]
        assert numbers == sorted(numbers)

    def teardown(self) -> None:
        try:
            self.read_all()
        finally:
            self.log.close()
            self.writer.close()
            shutil.rmtree(self.root)

    def read_all(self) -> None:
        self.relink_current()
        self.append(1)  # what is missing is told on the way to the next line
        for _ in range(200):
            self.read(100_000, None)
            self.nothing_comes_twice()
        self.what_comes_is_in_order()
        assert self.owed == []
        assert self.cut <= set(self.got) or Loss.MISSING in self.passed


TestFiles = Files.TestCase
TestFiles.settings = settings(deadline=None, max_examples=200)
