"""Reading across dated files and archives."""

from __future__ import annotations

import gzip
import os
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from producer.alertlog.log_file import GzipLogFile
from tests.producer.alertlog.tail import Log, compress, day_lines, line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def days(log: Log) -> Log:
    """A reader stopped in the middle of 11 May and started on 14 May; the files of the 11th to 13th are compressed."""
    log.rotate(log.dated(11), day_lines(11, "a"))
    assert log.read() == ["a"]
    log.write(line("b"))
    log.rotate(log.dated(12), day_lines(12, "c"))
    log.rotate(log.dated(12, 1), day_lines(12, "d"))
    log.rotate(log.dated(12, 2), day_lines(12, "e"))
    log.rotate(log.dated(13), day_lines(13, "f"))
    log.rotate(log.dated(14), day_lines(14, "g"))
    for path in (log.dated(11), log.dated(12), log.dated(13)):
        compress(path)
    log.now_s += 3600
    log.restart()
    return log


def test_reader_stopped_for_days_reads_all_of_them(days: Log) -> None:
    assert days.read() == ["b", "c", "d", "e", "f", "g"]
    assert days.losses() == []
    assert days.read() == []


def test_slow_reader_reads_all_days(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a", "b"))
    log.rotate(log.dated(12), day_lines(12, "c"))
    log.rotate(log.dated(13), day_lines(13, "d"))
    assert log.read() == ["a", "b", "c", "d"]


def test_restored_and_older_files_are_not_read(days: Log) -> None:
    days.dated(11).write_bytes(gzip.decompress(days.dated(11).with_suffix(".json.gz").read_bytes()))
    days.dated(9).write_bytes(day_lines(9, "old"))
    assert days.read() == ["b", "c", "d", "e", "f", "g"]


def test_other_files_and_folders_are_ignored(days: Log) -> None:
    may = days.path.parent / "2024" / "May"
    for name in ("ossec-alerts-12.log", "ossec-alerts-12.json.sum", "ossec-alerts-32.json", "ossec-alerts-12.json~"):
        (may / name).write_bytes(line("no"))
    (may / "ossec-alerts-12-003.json").mkdir()
    (days.path.parent / "2025").write_bytes(b"")
    (days.path.parent / "2024" / "Mai").mkdir()
    assert days.read() == ["b", "c", "d", "e", "f", "g"]


def test_file_may_be_compressed_while_it_is_read(log: Log) -> None:
    log.rotate(log.dated(11), b"".join(line(str(number)) for number in range(20_000)))
    first = log.log.read(log.cursor, 100)
    second = log.log.read(first.cursor, 100)
    compress(log.dated(11))
    log.rotate(log.dated(12), day_lines(12, "end"))
    log.cursor = second.cursor
    log.restart()
    assert second.lines[0].raw == line("0")[:-1]
    ids = log.read()
    assert ids == [*(str(number) for number in range(len(second.lines), 20_000)), "end"]


def test_archive_is_decompressed_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.rotate(log.dated(11), day_lines(11, "a"))
    log.read()
    log.write(b"".join(line(str(number)) for number in range(50_000)))
    compress(log.dated(11))
    log.rotate(log.dated(12), day_lines(12, "end"))
    log.restart()
    decompressed = 0
    read = GzipLogFile.read

    def count(archive: GzipLogFile, max_bytes: int) -> bytes:
        nonlocal decompressed
        data = read(archive, max_bytes)
        decompressed += len(data)
        return data

    monkeypatch.setattr(GzipLogFile, "read", count)
    taken = 0
    while taken < 50_000:
        batch = log.log.read(log.cursor, 100_000)
        log.cursor = batch.lines[len(batch.lines) // 2].next_cursor if len(batch.lines) > 1 else batch.cursor
        taken += len(batch.lines) // 2 + 1
    assert log.read() == ["end"]
    assert decompressed < 1.1 * 50_000 * len(line("12345"))


def test_missing_file_is_reported_with_its_range(days: Log) -> None:
    for path in days.path.parent.glob("2024/May/ossec-alerts-1[12]*"):
        path.unlink()
    assert days.read() == ["f", "g"]
    detail = (
        f"the alerts file that began at 2024-05-11T12:00:00Z was deleted or emptied: its data after byte"
        f" {len(line('a'))}, and everything before /2024/May/ossec-alerts-13.json.gz, which begins at"
        " 2024-05-13T12:00:00Z, is missing; continuing there"
    )
    assert days.losses() == [("missing", detail)]


@pytest.mark.parametrize(
    ("gone", "read", "what"),
    [
        ("12*", ["b", "f", "g"], "every file of 2024-05-12 to 2024-05-12"),
        ("12-001*", ["b", "c", "e", "f", "g"], "part 1 to 1 of 2024-05-12"),
        ("12.*", ["b", "d", "e", "f", "g"], "what came before part 1 of 2024-05-12"),
    ],
)
def test_gap_between_files_is_reported(days: Log, gone: str, read: list[str], what: str) -> None:
    for path in days.path.parent.glob(f"2024/May/ossec-alerts-{gone}"):
        path.unlink()
    assert days.read() == read
    ((loss, detail),) = days.losses()
    assert (loss, detail.split(" is missing")[0]) == ("missing", what)


def test_days_without_alerts_are_not_a_gap_for_a_live_reader(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a"))
    assert log.read() == ["a"]
    log.now_s += 3 * 86400
    log.read()
    log.rotate(log.dated(14), day_lines(14, "b"))
    assert log.read() == ["b"]
    assert log.losses() == []


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        pytest.param(b"", "Compressed file ended before", id="cut"),
        pytest.param(b"\xff" * 5000, "invalid block type", id="bits"),  # 11 is no type of a block: RFC 1951, 3.2.3
    ],
)
def test_damaged_archive_is_read_up_to_the_damage(log: Log, damage: bytes, error: str) -> None:
    log.rotate(log.dated(11), day_lines(11, "a"))
    log.read()
    before, after = ([os.urandom(20).hex() for _ in range(2500)] for _ in range(2))
    log.write(b"".join(line(text) for text in before))
    whole = log.dated(11).read_bytes()
    log.dated(11).unlink()
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = packer.compress(whole + b'{"') + packer.flush(zlib.Z_FULL_FLUSH)  # so the damage is not inside of a block
    behind = packer.compress(b"".join(line(text) for text in after)) + packer.flush()
    log.dated(11).with_suffix(".json.gz").write_bytes(packed + damage + (behind[len(damage) :] if damage else b""))
    log.rotate(log.dated(12), day_lines(12, "end"))
    log.restart()
    assert log.read() == [*before, "end"]
    ((loss, detail),) = log.losses()
    assert loss == "unreadable"
    assert detail.startswith("/2024/May/ossec-alerts-11.json.gz: what follows byte ")
    assert error in detail


def test_archive_with_a_wrong_checksum_is_read_and_reported(days: Log) -> None:
    packed = days.dated(12).with_suffix(".json.gz")
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    assert days.read() == ["b", "c", "d", "e", "f", "g"]
    ((loss, detail),) = days.losses()
    assert loss == "unreadable"
    assert detail.startswith("/2024/May/ossec-alerts-12.json.gz: what follows byte ")
    assert "CRC check failed" in detail
    assert "; any of its lines may have been altered)" in detail


def test_invalid_archive_is_reported(days: Log) -> None:
    days.dated(13).with_suffix(".json.gz").write_bytes(b"this is not compressed\n")
    assert days.read() == ["b", "c", "d", "e", "g"]
    ((loss, detail),) = days.losses()
    assert loss == "unreadable"
    assert detail.startswith("/2024/May/ossec-alerts-13.json.gz: all of it cannot be read (Not a gzipped file")


def test_without_dated_files_the_current_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_bytes(day_lines(11, "a"))
    log = Log(tmp_path)
    log.path.write_bytes(day_lines(12, "b"))
    log.restart()
    assert log.read() == ["b"]
    assert [loss for loss, _ in log.losses()] == ["missing"]
    log.log.close()


def test_beginning_is_the_oldest_line(days: Log) -> None:
    days.cursor = days.log.beginning()
    assert days.read() == ["a", "b", "c", "d", "e", "f", "g"]


def test_end_with_an_empty_new_file_is_that_of_the_archive(days: Log) -> None:
    days.rotate(days.dated(15))
    compress(days.dated(14))
    days.cursor = days.log.end()
    assert days.read() == []
    days.write(day_lines(15, "h"))
    assert days.read() == ["h"]


def test_archives_that_appear_later_are_not_new(log: Log) -> None:
    old = log.dated(11)
    old.write_bytes(day_lines(11, "old"))
    os.utime(compress(old), (log.now_s - 100, log.now_s - 100))
    log.dated(12).write_bytes(day_lines(12, "new"))
    os.utime(log.dated(12), (log.now_s + 100, log.now_s + 100))
    assert log.read() == ["new"]


@pytest.mark.parametrize(
    ("moment", "first"),
    [
        (datetime(2024, 5, 1, tzinfo=UTC), "a"),
        (datetime(2024, 5, 11, 12, 0, 0, tzinfo=UTC), "a"),
        (datetime(2024, 5, 11, 12, 0, 0, 1000, tzinfo=UTC), "c"),
        (datetime(2024, 5, 12, 14, 0, 0, tzinfo=timezone(timedelta(hours=2))), "c"),
        (datetime(2024, 5, 12, 12, 30, tzinfo=UTC), "f"),
        (datetime(2024, 5, 14, 12, 0, 0, tzinfo=UTC), "g"),
        (datetime(2024, 5, 14, 12, 0, 1, tzinfo=UTC), "later"),
        (datetime(2030, 1, 1, tzinfo=UTC), "later"),
    ],
)
def test_time_is_found_in_every_file(days: Log, moment: datetime, first: str) -> None:
    days.cursor = days.log.at(moment)
    days.write(day_lines(15, "later"))
    assert days.read()[0] == first


def test_time_is_found_within_a_file(log: Log) -> None:
    log.rotate(log.dated(11), b"no time\n" + line("half past") + day_lines(11, *"abcdef"))
    log.rotate(log.dated(12), day_lines(12, *"ghijkl") + b"no time\n")
    log.cursor = log.log.at(datetime(2024, 5, 12, 12, 0, 4, tzinfo=UTC))
    assert log.read()[:2] == ["k", "l"]


def test_time_without_a_log_is_the_end(log: Log) -> None:
    log.cursor = log.log.at(datetime(2024, 5, 1, tzinfo=UTC))
    log.write(line("a"))
    assert log.read() == ["a"]
