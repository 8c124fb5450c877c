"""A Hypothesis state machine: what the manager, its log rotation and its operators do to the alert log's files.

A test adds a reader and its expectations: `owe` is called with each complete line, `lose` with lines that no file has
any longer.
"""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

if TYPE_CHECKING:
    from collections.abc import Collection

OVERLONG = b"x" * 400

HEADS = {
    "none": b"",
    "blank line": b"\n",  # what `echo > alerts.json` leaves behind
    "blank lines": b"\n\n\n",
    "line": b'{"timestamp":"2024-05-10T00:00:00.000+0000","n":0}\n',
    "line without time": b'{"n":0}\n',
    "kilobytes": b"".join(b'{"timestamp":"2024-05-10T00:00:00.000+0000","n":0,"x":%d}\n' % n for n in range(40)),
}
"""Possible first lines of a file; several files can have the same."""
HEAD_LINES = frozenset(line for head in HEADS.values() for line in head.splitlines())
heads = st.sampled_from(sorted(HEADS))


class DayFile:
    """One dated file: its complete lines in order, and the half-written line at its end."""

    def __init__(self, path: Path, day: date, part: int) -> None:
        self.path, self.name = path, (day, part)
        self.lines: list[bytes] = []
        self.half = b""
        self.was_copied = False
        """Then a reader may have been in the copy, and cannot know that the other one had more and was emptied."""


class AlertFiles(RuleBasedStateMachine):
    """What is on disk: `days`, of which the last is current. `clock` is the manager's."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.current = self.root / "alerts.json"
        self.clock = datetime(2024, 5, 11, 12, 0, tzinfo=UTC)
        self.part = self.count = 0
        self.days: list[DayFile] = []
        self.writer: IO[bytes] = BytesIO()
        self.half_bytes = b""
        self.copied = False
        self.heads_written = 0

    def line(self) -> bytes:
        """Return a new line, one second later than the previous one."""
        self.clock += timedelta(seconds=1)
        self.count += 1
        return self.text(f"{self.clock:%Y-%m-%dT%H:%M:%S}.000+0000", self.count)

    def text(self, timestamp: str, number: int) -> bytes:
        """Return the line with this number."""
        raise NotImplementedError

    def owe(self, line: bytes) -> None:
        """Record a complete line, which the reader must deliver."""
        raise NotImplementedError

    def lose(self, lines: Collection[bytes]) -> None:
        """Record lines that no file has any longer."""
        raise NotImplementedError

    def emptied(self, day: DayFile) -> None:
        """Record that a file was truncated in place."""
        self.lose(day.lines)

    def now_s(self) -> float:
        return self.clock.timestamp()

    def new_file(self, head: str = "none") -> None:
        self.writer.close()
        name = f"ossec-alerts-{self.clock:%d}" + (f"-{self.part:03}" if self.part else "")
        path = self.root / f"{self.clock:%Y/%b}" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.writer = path.open("ab", buffering=0)
        self.current.unlink(missing_ok=True)
        self.current.hardlink_to(path)
        self.days.append(DayFile(path, self.clock.date(), self.part))
        self.copied = False
        self.write_head(head)

    def write_head(self, head: str) -> None:
        """Write one of HEADS, which other files can have too, to the current file."""
        self.write(HEADS[head])
        self.days[-1].lines += HEADS[head].splitlines()

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    # What the manager does.

    @rule(lines=st.integers(1, 4))
    def append(self, lines: int) -> None:
        for _ in range(lines):
            day, line = self.days[-1], self.days[-1].half or self.line()
            self.write(line[len(self.half_bytes) :] + b"\n")
            self.half_bytes, day.half = b"", b""
            day.lines.append(line)
            self.owe(line)

    @precondition(lambda self: not self.half_bytes)
    @rule(share=st.floats(0.1, 0.9))
    def append_half(self, share: float) -> None:
        line = self.days[-1].half = self.line()
        self.half_bytes = line[: int(len(line) * share)]
        self.write(self.half_bytes)

    @precondition(lambda self: not self.half_bytes)
    @rule()
    def append_overlong(self) -> None:
        self.append(1)  # the new first line identifies the file
        self.write(OVERLONG + b"\n")

    @rule(new_day=st.booleans(), head=heads)
    def rotate(self, new_day: bool, head: str) -> None:
        self.half_bytes = b""
        old = self.days[-1].path
        if not old.stat().st_size:
            old.unlink()
        self.clock += timedelta(seconds=600)
        if new_day:
            self.clock = (self.clock + timedelta(days=1)).replace(hour=0, minute=0)
        self.part = 0 if new_day else self.part + 1
        self.new_file(head)

    @precondition(lambda self: len(self.days) > 1)
    @rule(data=st.data())
    def compress(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.days[:-1])).path
        packed = path.with_name(f"{path.name}.gz")
        if path.exists():
            if not packed.exists():  # else it was restored
                packed.write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    # What operators do.

    @precondition(lambda self: not self.copied)
    @rule(head=heads)
    def truncate(self, head: str) -> None:
        self.writer.truncate(0)
        self.emptied(self.days[-1])
        self.days[-1].lines.clear()
        self.half_bytes = self.days[-1].half = b""
        self.write_head(head)

    @precondition(lambda self: len(self.days) > 1)
    @rule(data=st.data(), share=st.sampled_from([0.5, 1.0]))
    def restore(self, data: st.DataObject, share: float) -> None:
        """Unpack an archive, or a part of it, next to it."""
        path = data.draw(st.sampled_from(self.days[:-1])).path
        packed = path.with_name(f"{path.name}.gz")
        if packed.exists() and not path.exists():
            content = gzip.decompress(packed.read_bytes())
            path.write_bytes(content[: int(len(content) * share)])

    @precondition(lambda self: len(self.days) > 1)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        day = data.draw(st.sampled_from(self.days[:-1]))
        day.path.unlink(missing_ok=True)
        day.path.with_name(f"{day.path.name}.gz").unlink(missing_ok=True)
        self.lose(day.lines)

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

    def close_files(self) -> None:
        """Delete the temporary files."""
        self.writer.close()
        shutil.rmtree(self.root)
