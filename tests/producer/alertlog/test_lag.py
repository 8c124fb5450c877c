from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from producer.source import Lag
from tests.producer.alertlog.tail import NOW, day_lines, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.producer.alertlog.tail import Log

OLD = "2024-05-20T11:59:50.000+0000"


def test_no_lag_at_the_end(log: Log) -> None:
    assert log.log.lag(log.log.end()) == Lag(0, 0.0)
    log.path.write_bytes(line("a", OLD))
    assert log.log.lag(log.log.end()) == Lag(0, 0.0)


def test_lag_has_bytes_and_the_age_of_the_next_line(log: Log) -> None:
    log.path.write_bytes(line("a", "2024-05-20T10:00:00.000+0000"))
    end = log.log.end()
    more = line("b", OLD) + line("c", "2024-05-20T11:59:59.000+0000")
    with log.path.open("ab") as file:
        file.write(more)
    assert log.log.lag(end) == Lag(len(more), 10.0)


def test_log_newer_than_the_cursor_counts_completely(log: Log) -> None:
    log.path.write_bytes(line("a", OLD))
    assert log.log.lag(log.cursor) == Lag(len(line("a", OLD)), 10.0)


def dated(log: Log, day: int) -> Path:
    folder = log.path.parent / "2024" / "May"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"ossec-alerts-{day:02}.json"


def test_later_files_count_once_compressed_or_not(log: Log) -> None:
    first, second, third = (day_lines(day, "a", "b") for day in (18, 19, 20))
    dated(log, 18).write_bytes(first)
    cursor = log.log.beginning()
    dated(log, 19).with_suffix(".json.gz").write_bytes(gzip.compress(second))
    dated(log, 20).write_bytes(third)
    log.path.hardlink_to(dated(log, 20))
    lag = log.log.lag(cursor)
    assert lag.size_bytes == len(first + second + third)
    assert lag.age_s == (NOW - NOW.replace(day=18, hour=12, second=0)).total_seconds()


def test_age_in_a_compressed_file_is_that_of_its_first_line(log: Log) -> None:
    content = day_lines(18, "a", "b", "c")
    dated(log, 18).with_suffix(".json.gz").write_bytes(gzip.compress(content))
    cursor = log.log.read(log.log.beginning(), 1).lines[0].next_cursor
    lag = log.log.lag(cursor)
    assert lag.size_bytes == len(content) - len(day_lines(18, "a"))
    assert lag.age_s == 2 * 86_400


def test_no_log_content_raises(log: Log) -> None:
    assert log.log.lag("no cursor") == Lag(0, 0.0)
    log.path.write_bytes(b"not json\n")
    assert log.log.lag(log.cursor) == Lag(9, 0.0)
    dated(log, 18).with_suffix(".json.gz").write_bytes(b"")
    assert log.log.lag("0" * 20 + ":5").age_s == 0.0
