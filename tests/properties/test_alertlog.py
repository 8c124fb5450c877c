"""Each line that a file still holds is returned once and in order, in every scenario; other lines at most once.

The state machine changes the files as the manager, its maintenance jobs and its operators do, and reads like a
producer, in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from producer.alertlog import AlertLog
from producer.alertlog.cursor import Cursor
from producer.source import LossReason
from tests.support.alert_files import HEAD_LINES, HEADS, AlertFiles, DayFile, heads

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_LINE_BYTES = 300


class Files(AlertFiles):
    """The files, the lines that a reader must return, and those that it `got`."""

    def __init__(self) -> None:
        super().__init__()
        self.owed: list[bytes] = []
        self.lost: set[bytes] = set()
        self.got: list[bytes] = []
        self.skipped: set[LossReason] = set()
        self.cut: set[bytes] = set()
        self.log = self.new_log()

    @initialize(lines=st.integers(0, 3), at_end=st.booleans(), head=heads)
    def begin(self, lines: int, at_end: bool, head: str) -> None:
        self.new_file(head)
        self.append(lines)
        self.cursor = self.log.end() if at_end else self.log.beginning()
        self.note_consumed()
        if at_end:
            self.owed.clear()

    def text(self, timestamp: str, number: int) -> bytes:
        return f'{{"timestamp":"{timestamp}","n":{number}}}'.encode()

    def owe(self, line: bytes) -> None:
        self.owed.append(line)

    def lose(self, lines: Collection[bytes]) -> None:
        self.lost.update(line for line in self.owed if line in lines)
        self.owed = [line for line in self.owed if line not in self.lost]

    def emptied(self, day: DayFile) -> None:
        unread = [line for line in self.owed if line in day.lines]
        cursor = Cursor.parse(self.cursor)
        # A reader within what begins as before cannot know that something else followed.
        begins_as_before = any(head.startswith(self.consumed) for head in HEADS.values())
        if unread and not day.was_copied and cursor.name == day.name and not begins_as_before:
            self.cut.update(unread)
        self.lose(day.lines)

    def note_consumed(self) -> None:
        """Remember what the reader's file begins with, up to its cursor."""
        cursor = Cursor.parse(self.cursor)
        lines = [line for day in self.days if day.name == cursor.name for line in day.lines]
        self.consumed = b"".join(line + b"\n" for line in lines)[: cursor.offset]

    # What the producer does.

    @rule(max_bytes=st.sampled_from([1, 100, 100_000]), take=st.none() | st.integers(1, 3))
    def read(self, max_bytes: int, take: int | None) -> None:
        """Read; with `take`, as if the backlog had room for only that many lines."""
        batch = self.log.read(self.cursor, max_bytes)
        some = list(batch.lines)[:take]
        self.cursor = batch.cursor if len(some) == len(batch.lines) else some[-1].next_cursor
        self.note_consumed()
        self.skipped.update(skipped.reason for skipped in batch.skipped)
        self.got += [line.raw for line in some if line.raw not in HEAD_LINES]
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
            self.close_files()

    def read_all(self) -> None:
        self.relink_current()
        self.append(1)  # a missing range is reported when the next line is read
        for _ in range(200):
            self.read(100_000, None)
            self.nothing_comes_twice()
        self.what_comes_is_in_order()
        assert self.owed == []
        assert self.cut <= set(self.got) or LossReason.MISSING in self.skipped


TestFiles = Files.TestCase
TestFiles.settings = settings()


def test_rewritten_file_with_an_older_first_line_is_read() -> None:
    state = Files()
    state.begin(lines=1, at_end=False, head="none")
    state.truncate(head="kilobytes")
    state.append_overlong()
    state.rotate(head="blank line", new_day=False)
    state.teardown()
