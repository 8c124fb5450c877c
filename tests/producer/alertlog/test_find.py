"""Lines are found by their id, at the end, and relative to a cursor, in plain, dated and compressed files."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from producer.alertlog.find import MAX_LAST_BYTES
from producer.alertlog.log_file import BLOCK_BYTES
from tests.producer.alertlog.tail import compress, counted_reads, day_lines, line

if TYPE_CHECKING:
    from producer.source import Line
    from tests.producer.alertlog.tail import Log


@pytest.fixture
def three_days(log: Log) -> Log:
    """A compressed day, a plain one in two parts, and the current file, which is the second part."""
    log.dated(10).write_bytes(day_lines(10, "a", "b"))
    log.dated(11).write_bytes(day_lines(11, "c", "d"))
    log.rotate(log.dated(11, 1), day_lines(11, "e", "f"))
    compress(log.dated(10))
    log.cursor = log.log.beginning()
    return log


def test_every_line_is_found_by_its_id(three_days: Log) -> None:
    lines = three_days.read_lines()
    assert len(lines) == 6
    other = three_days.open()
    for one in lines:
        found = other.line(one.id)
        assert found is not None
        assert (found.raw, found.id, found.start, found.end) == (one.raw, one.id, one.start, one.end)
    other.close()


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "0" * 20 + ":0000000000:00000000", "{stream}:00ffffffff:00000000", "{stream}:0000000000:00000000"],
)
def test_unknown_ids_are_not_found(three_days: Log, wrong: str) -> None:
    first = three_days.read_lines()[0]
    assert three_days.log.line(wrong.format(stream=first.stream)) is None


def test_rewritten_line_is_not_taken_for_the_old_one(log: Log) -> None:
    log.write(line("a") + line("b"))
    log.cursor = log.log.beginning()
    old = log.read_lines()[1]
    log.path.write_bytes(line("a") + line("c"))
    assert log.log.line(old.id) is None


def test_alert_in_a_damaged_line_is_found_by_its_own_id(log: Log) -> None:
    alert = b'{"timestamp":"2024-05-11T12:00:00.000+0000","rule":{"level":3},"id":"7"}'
    log.write(line("a") + b'{"timestamp":"2024' + alert + alert + b"\n" + line("b"))
    log.cursor = log.log.beginning()
    damaged = log.read_lines()[1]
    before = len(b'{"timestamp":"2024')
    parts = [damaged.slice(before, before + len(alert)), damaged.slice(before + len(alert), len(damaged.raw))]
    for part in parts:
        found = log.log.line(part.id)
        assert found is not None
        assert (found.raw, found.id) == (alert, part.id)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 100])
def test_last_lines_come_from_several_files_each_once(three_days: Log, count: int) -> None:
    every = [one.id for one in three_days.read_lines()]
    assert [one.id for one in three_days.log.last(count)] == every[-count:]


def test_last_lines_without_a_log_are_none(log: Log) -> None:
    assert log.log.last(3) == []


def test_partial_last_line_is_not_among_the_last(log: Log) -> None:
    log.write(line("a") + line("b")[:-1])
    assert [one.raw for one in log.log.last(2)] == [line("a")[:-1]]


def test_last_lines_of_a_large_file_are_read_from_its_end(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(b"".join(line(f"{n:0100}") for n in range(50_000)))
    size = log.path.stat().st_size
    assert size > 20 * BLOCK_BYTES
    read = counted_reads(monkeypatch)
    assert [one.raw[-6:-2] for one in log.log.last(2)] == [b"9998", b"9999"]
    assert sum(read) < 4 * BLOCK_BYTES
    assert size < MAX_LAST_BYTES


def test_cursor_is_behind_exactly_the_lines_before_it(three_days: Log) -> None:
    cursors = [three_days.cursor]
    lines: list[Line] = []
    while True:
        batch = three_days.log.read(cursors[-1], 1)
        lines += batch.lines
        if batch.at_end:
            break
        cursors += [one.next_cursor for one in batch.lines] or [batch.cursor]
    assert len(lines) == 6
    other = three_days.open()
    for cursor in cursors:
        reader = three_days.open()
        left = {one.id for one in read_all(reader, cursor)}
        reader.close()
        assert [other.is_behind(cursor, one) for one in lines] == [one.id not in left for one in lines], cursor
    other.close()


def read_all(log: object, cursor: str) -> list[Line]:
    lines: list[Line] = []
    while True:
        batch = log.read(cursor, 100)  # type: ignore[attr-defined]  # an AlertLog
        lines += batch.lines
        cursor = batch.cursor
        if batch.at_end:
            return lines


def test_cursor_of_an_empty_log_is_before_its_first_line(log: Log) -> None:
    cursor = log.log.end()
    log.write(line("a"))
    (one,) = log.log.last(1)
    assert log.log.is_behind(cursor, one) is False


def test_invalid_cursor_says_nothing(log: Log) -> None:
    log.write(line("a"))
    (one,) = log.log.last(1)
    assert log.log.is_behind("nonsense", one) is None


def test_cursor_in_a_deleted_file_is_compared_by_its_day(three_days: Log) -> None:
    lines = three_days.read_lines()
    packed = three_days.dated(10).with_name("ossec-alerts-10.json.gz")
    assert gzip.decompress(packed.read_bytes()).count(b"\n") == 2
    packed.unlink()
    assert [three_days.log.is_behind(lines[0].next_cursor, one) for one in lines[2:]] == [False] * 4
    assert three_days.log.is_behind(lines[5].next_cursor, lines[0])
