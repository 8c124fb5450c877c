"""What every source promises. A new source adds its log to `LOGS`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer.source import Lag
from tests.support.sources import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from producer.source import Source
    from tests.support.sources import Log

LONG_S = 60.0
LINES = [b'{"n":%d}' % n for n in range(25)]


@pytest.fixture
def written(log: Callable[[Path], Log], tmp_path: Path) -> Log:
    return log(tmp_path)


@pytest.fixture
def source(written: Log) -> Iterator[Source]:
    opened = written.open()
    yield opened
    opened.close()


def raws(source: Source, cursor: str) -> list[bytes]:
    return [line.raw for line in read_all(source, cursor)]


def test_lines_come_once_and_in_order(source: Source, written: Log) -> None:
    written.append(*LINES)
    assert raws(source, source.beginning()) == LINES


def test_end_is_behind_the_last_line_and_before_the_next(source: Source, written: Log) -> None:
    before = source.end()
    written.append(*LINES)
    end = source.end()
    written.append(b"{}")
    assert raws(source, before) == [*LINES, b"{}"]
    assert raws(source, end) == [b"{}"]
    assert raws(source, source.end()) == []


def test_cursor_behind_each_line_leads_to_the_next(source: Source, written: Log) -> None:
    written.append(*LINES)
    for number, line in enumerate(read_all(source, source.beginning()), start=1):
        assert raws(source, line.next_cursor) == LINES[number:]


def test_cursors_fit_into_what_redis_holds(source: Source, written: Log) -> None:
    written.append(*LINES)
    lines = read_all(source, source.beginning())
    cursors = [source.beginning(), source.end(), *(line.next_cursor for line in lines)]
    assert all(cursor and " " not in cursor for cursor in cursors)


def test_ids_are_permanent_and_differ(source: Source, written: Log) -> None:
    written.append(*LINES, *LINES)
    ids = [line.id for line in read_all(source, source.beginning())]
    other = written.open()
    assert [line.id for line in read_all(other, other.beginning())] == ids
    other.close()
    assert len(set(ids)) == len(ids)


def test_positions_grow_within_a_stream(source: Source, written: Log) -> None:
    written.append(*LINES)
    until: dict[str, int] = {}
    for line in read_all(source, source.beginning()):
        assert until.get(line.stream, 0) <= line.start < line.end
        until[line.stream] = line.end


def test_lines_of_a_read_cover_their_positions(source: Source, written: Log) -> None:
    written.append(*LINES)
    cursor, at_end, number = source.beginning(), False, 0
    while not at_end:
        batch = source.read(cursor, 1_000_000)
        lines, cursor, at_end = batch.lines, batch.cursor, batch.at_end
        assert len(lines) == len(list(lines))
        if lines:
            assert (lines[0].start, lines[-1].end) == (lines.start, lines.end)
            assert {line.stream for line in lines} == {lines.stream}
        number += len(lines)
    assert number == len(LINES)


def test_prefilter_leaves_what_is_not_rejected(source: Source, written: Log) -> None:
    def reject(raw: bytes) -> None:
        if b"7" in raw:
            raise KeyError

    written.append(*LINES[:10])
    cursor = source.beginning()
    batch = source.read(cursor, 1_000_000)
    while not batch.lines:  # the start of a file can be a step of its own
        batch = source.read(batch.cursor, 1_000_000)
    number, left = batch.lines.prefilter(reject, (KeyError,))
    assert (number, [line.raw for line in left]) == (10, [LINES[7]])


@given(st.integers(0, 9), st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_part_of_a_line_is_a_line_of_its_own(source: Source, written: Log, start: int, stop: int) -> None:
    if not read_all(source, source.beginning()):
        written.append(b"0123456789", b"next")
    whole = read_all(source, source.beginning())[0]
    start, stop = min(start, stop), max(start, stop) + 1
    part = whole.slice(start, stop)
    assert part.raw == whole.raw[start:stop]
    assert raws(source, part.next_cursor) == [rest for rest in (whole.raw[stop:], b"next") if rest]
    if start:
        assert part.id != whole.id


def test_lag_is_zero_at_the_end_only(source: Source, written: Log) -> None:
    written.append(*LINES)
    first = read_all(source, source.beginning())[0]
    assert source.lag(source.end()) == Lag(0, 0.0)
    assert source.lag(source.beginning()).size_bytes > source.lag(first.next_cursor).size_bytes > 0


def waited_s(source: Source, act: Callable[[], object]) -> float:
    """Return how long a wait takes that begins before `act`, which runs in another thread."""
    raws(source, source.beginning())
    source.wait(0)  # the first one may return at once
    start_s = time.monotonic()
    timer = threading.Timer(0.1, act)
    timer.start()
    source.wait(LONG_S)
    timer.join()
    return time.monotonic() - start_s


def test_new_line_ends_a_wait(source: Source, written: Log) -> None:
    written.append(*LINES)
    assert waited_s(source, lambda: written.append(b"{}")) < LONG_S / 2


def test_wake_ends_a_wait(source: Source) -> None:
    assert waited_s(source, source.wake) < LONG_S / 2


def test_wait_takes_no_longer_than_asked_for(source: Source) -> None:
    for _ in range(2):
        source.wait(0.01)


def test_wake_is_harmless_at_any_time(written: Log) -> None:
    source = written.open()
    source.wake()
    source.wait(LONG_S)
    source.wait(0)
    source.close()
    source.wake()
