"""Reading the log while it is written."""

from __future__ import annotations

import gzip
import logging
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import pytest

from producer.alertlog.cursor import Cursor, fingerprint
from producer.filters.decode import decode_line
from producer.source import LossReason
from tests.producer.alertlog.tail import MAX_LINE_BYTES, Log, day_lines, line


def test_lines_written_after_the_end_of_a_missing_log_are_read(log: Log) -> None:
    assert log.read() == []
    log.write(line("a")[:20])
    assert log.read() == []
    log.write(line("a")[20:] + line("b"))
    assert log.read() == ["a", "b"]
    assert log.losses() == []


def test_end_is_behind_the_last_complete_line(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_bytes(line("a") + line("half")[:10])
    log = Log(tmp_path)
    log.write(line("half")[10:])
    assert log.read() == ["half"]
    log.log.close()


def test_line_has_an_id_and_a_cursor(log: Log) -> None:
    log.write(line("a") + line("b"))
    first, second = log.read_lines()
    size = len(line("a"))
    assert (first.start, first.end, second.start, second.end) == (0, size, size, 2 * size)
    assert first.stream == second.stream == fingerprint(line("a"))
    assert second.id == f"{first.stream}:{size:010x}:{crc32(second.raw):08x}"
    assert second.next_cursor == log.cursor


def test_different_line_at_the_same_offset_has_another_id(log: Log) -> None:
    log.write(line("a") + line("b"))
    _, before = log.read_lines()
    log.path.write_bytes(line("a"))
    log.read()
    log.write(line("c"))
    (now,) = log.read_lines()
    assert (now.stream, now.start) == (before.stream, before.start)
    assert now.id != before.id


def test_reading_continues_in_the_middle_of_a_batch(log: Log) -> None:
    log.write(day_lines(11, "a", "b", "c"))
    log.cursor = log.read_lines()[0].next_cursor
    assert log.read() == ["b", "c"]


def test_carriage_return_is_kept(log: Log) -> None:
    log.write(b'{"rule":{"level":3}}\r\n')
    (only,) = log.read_lines()
    assert only.raw == b'{"rule":{"level":3}}\r'
    assert decode_line(only.raw).rule.level == 3


def test_garbage_is_returned_as_lines(log: Log) -> None:
    garbage = b"\xff\x00\n\n\x80" + bytes(range(11, 256)) + b"\n"
    log.write(garbage)
    assert b"".join(line.raw + b"\n" for line in log.read_lines()) == garbage


def test_oversized_line_is_skipped_in_bounded_memory(log: Log) -> None:
    log.write(line("a"))
    log.read()
    os.truncate(log.path, 200 * 1024 * 1024)  # one line of zeros, which takes no room on the disk
    log.write(b"\n" + line("b"))
    tracemalloc.start()
    assert log.read() == ["b"]
    assert tracemalloc.get_traced_memory()[1] < 20 * MAX_LINE_BYTES
    tracemalloc.stop()
    (skipped,) = log.skipped
    assert (skipped.reason, set(skipped.sample)) == (LossReason.OVERLONG, {0})
    assert f"{log.path}: the line at byte {len(line('a'))} has" in skipped.detail


def test_growing_oversized_line_is_awaited(log: Log) -> None:
    log.write(b"x" * (MAX_LINE_BYTES + 1))
    assert log.read() == []
    log.write(b"y" * 10)
    assert log.read() == []
    assert log.losses() == []
    log.write(b"\n" + line("b"))
    assert log.read() == ["b"]
    assert [loss for loss, _ in log.losses()] == ["overlong"]
    log.restart()
    assert log.read() == []


def test_line_of_the_maximum_size_is_read(log: Log) -> None:
    log.write(line("a") + b"x" * MAX_LINE_BYTES + b"\n" + b"y" * (MAX_LINE_BYTES + 1) + b"\n")
    assert [len(line.raw) for line in log.read_lines()] == [len(line("a")) - 1, MAX_LINE_BYTES]
    assert len(log.skipped) == 1


def test_old_file_is_finished_before_the_new_one(log: Log) -> None:
    log.write(line("a"))
    assert log.read() == ["a"]
    old = log.path.rename(log.path.with_suffix(".old"))
    log.write(b"")
    with old.open("ab") as file:
        file.write(line("b"))
    assert log.read() == ["b"]
    log.write(line("c", "2024-05-12T00:00:01.000+0000"))
    assert log.read() == ["c"]
    assert log.losses() == []


def test_incomplete_last_line_is_reported(log: Log) -> None:
    log.write(line("a") + b'{"half')
    log.read()
    log.rotate(log.dated(12), line("b"))
    assert log.read() == ["b"]
    assert log.losses() == [("unfinished", f"/alerts.json: the last line, at byte {len(line('a'))}, is incomplete")]
    assert log.skipped[0].sample == b'{"half'


def test_copy_is_not_read_again(log: Log) -> None:
    log.write(line("a"))
    log.read()
    copy = log.path.with_suffix(".copy")
    copy.write_bytes(log.path.read_bytes() + line("b"))
    copy.replace(log.path)
    assert log.read() == ["b"]
    log.write(line("c"))
    assert log.read() == ["c"]


def test_growing_file_is_read_if_the_other_is_a_copy(log: Log) -> None:
    log.dated(11).write_bytes(line("a"))
    log.write(line("a"))
    assert log.read() == ["a"]
    with log.dated(11).open("ab") as file:
        file.write(line("b"))
    assert log.read() == ["b"]


@pytest.mark.parametrize("later", ["b", "bcd", "bcdefghijk"])
def test_emptied_file_is_read_from_its_start(log: Log, later: str) -> None:
    log.write(day_lines(11, "a", "x"))
    log.read()
    log.path.write_bytes(day_lines(12, *later))
    assert "".join(log.read()) == later
    ((loss, detail),) = log.losses()
    assert loss == "missing"
    assert "began at 2024-05-11T12:00:00Z was deleted or emptied" in detail
    assert "alerts.json, which begins at 2024-05-12T12:00:00Z" in detail


def test_truncated_file_is_read_again(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.write(day_lines(11, "a", "b", "c"))
    log.read()
    log.path.write_bytes(day_lines(11, "a") + line("new"))
    assert log.read() == ["a", "new"]
    assert "was truncated before byte" in caplog.text


def test_missing_log_is_logged_once_and_awaited(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log.write(line("a"))
    log.read()
    log.path.unlink()
    for _ in range(3):
        assert log.read() == []
    assert [record.message for record in caplog.records] == [
        f"{log.path} is missing; waiting for it; is <jsonout_output> yes in ossec.conf?"
    ]
    log.write(line("b", "2024-05-12T00:00:01.000+0000"))
    assert log.read() == ["b"]
    log.read()
    assert caplog.messages[1:] == [f"{log.path} can be read again"]


def test_path_that_is_not_a_file_is_awaited(log: Log) -> None:
    os.mkfifo(log.path)
    assert log.read() == []
    log.path.unlink()
    log.path.mkdir()
    assert log.read() == []


@pytest.mark.parametrize(
    "cursor",
    ["", ":", "nonsense", "a:b", "new:-1", f"new:{10**11}", f"{'f' * 20}:{10**18}", "ffffffffffffffffffff:9" * 2],
)
def test_invalid_cursor_is_reported(log: Log, cursor: str) -> None:
    log.write(line("a"))
    log.cursor = cursor
    assert log.read() == ["a"]
    assert log.losses() == [("missing", f"invalid cursor {cursor!r}; continuing with /alerts.json")]


def test_fingerprint_begins_with_the_time() -> None:
    assert Cursor(fingerprint(line("a", "1970-01-01T01:00:10.5+0100")), 0).first_line_at_s == 10
    assert fingerprint(line("a")) != fingerprint(line("b"))
    assert fingerprint(b"no time")[:8] == fingerprint(line("a", "2024-99-11T12:00:00.000+0000"))[:8] == "00000000"


def test_half_written_archive_beside_its_plain_file_is_harmless(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a", "b"))
    packed = gzip.compress(log.dated(11).read_bytes())
    assert log.read() == ["a", "b"]
    log.dated(11).with_suffix(".json.gz").write_bytes(packed[:15])
    log.rotate(log.dated(12), day_lines(12, "c"))
    log.restart()
    assert log.read() == ["c"]
    assert log.losses() == []


def test_unused_file_is_closed(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a", "b"))
    unread = log.read_lines()[0].next_cursor
    log.rotate(log.dated(12), day_lines(12, "c"))
    assert log.read() == ["c"]
    log.log.read(unread, 10)
    log.dated(11).unlink()
    log.log.close_unused([unread, log.cursor])
    assert open_files(log.path.parent) == {"ossec-alerts-11.json (deleted)", "alerts.json"}
    assert [line.raw for line in log.log.read(unread, 100).lines] == [day_lines(11, "a", "b").splitlines()[1]]
    log.log.close_unused([log.cursor])
    assert open_files(log.path.parent) == {"alerts.json"}


def open_files(below: Path) -> set[str]:
    held = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            held.add(str(descriptor.readlink()))
    return {Path(one).name for one in held if one.startswith(str(below))}
