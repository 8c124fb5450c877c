"""Files with the same first line are distinguished, and copies are recognised."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from producer.alertlog.cursor import HEAD_MAX_BYTES, fingerprint
from tests.producer.alertlog.tail import Log, compress, day_lines, line
from tests.support.alert_files import HEADS

if TYPE_CHECKING:
    from pathlib import Path

ALIKE = pytest.mark.parametrize("head", [head for head in HEADS.values() if head], ids=list(HEADS)[1:])


def ids(log: Log) -> list[str]:
    """Read until the end of the log; return the ids, without those of first lines."""
    return [one for one in log.read() if len(one) == 1]


@ALIKE
@pytest.mark.parametrize("packed", [False, True])
def test_two_files_with_the_same_first_line_are_each_read_once(log: Log, head: bytes, packed: bool) -> None:
    log.rotate(log.dated(11), head + day_lines(11, "a", "b", "c"))
    log.rotate(log.dated(12), head + day_lines(12, "d", "e", "f", "g", "h"))
    if packed:
        compress(log.dated(11))
    log.cursor = log.log.beginning()
    got: list[str] = []
    for _ in range(200):
        batch = log.log.read(log.cursor, 1)
        log.cursor = batch.lines[0].next_cursor if batch.lines else batch.cursor
        first = list(batch.lines)[:1]
        got += [line.raw[-3:-2].decode() for line in first if line.raw + b"\n" not in head.splitlines(True)]
        log.restart()
    assert got == list("abcdefgh")
    assert log.losses() == []


@ALIKE
@pytest.mark.parametrize("packed", [(), (11,), (12,), (11, 12)])
@pytest.mark.parametrize("texts", ["i", "ijklmn"])
def test_alerts_json_may_share_its_first_line_with_dated_files(
    log: Log, head: bytes, packed: tuple[int, ...], texts: str
) -> None:
    log.dated(11).write_bytes(head + day_lines(11, *"abc"))
    log.dated(12).write_bytes(head + day_lines(12, *"defgh"))
    log.path.write_bytes(head + day_lines(13, *texts))
    for day in packed:
        compress(log.dated(day))
    log.cursor = log.log.beginning()
    got: list[str] = []
    after_the_end = 0
    while after_the_end < 10:  # a file that is read again would show there
        batch = log.log.read(log.cursor, 1)
        after_the_end += batch.cursor == log.cursor
        log.cursor = batch.cursor
        got += [line.raw[-3:-2].decode() for line in batch.lines if line.raw + b"\n" not in head.splitlines(True)]
        if packed:
            log.restart()
    assert "".join(got) == "abcdefgh" + texts
    log.path.rename(log.dated(13))
    log.path.write_bytes(head + line("o", "2024-05-14T12:00:00.000+0000"))
    assert ids(log) == ["o"]
    assert log.losses() == []


@pytest.mark.parametrize("texts", ["d", "defgh"])
def test_archive_is_compared_beyond_its_buffer(log: Log, texts: str) -> None:
    head = b"".join(line(str(n), "2024-05-10T00:00:00.000+0000") for n in range(2000, 4000))
    assert len(head) > HEAD_MAX_BYTES
    log.dated(11).write_bytes(head + day_lines(11, *"abc"))
    log.path.write_bytes(head + day_lines(12, *texts))
    compress(log.dated(11))
    log.cursor = log.log.beginning()
    assert "".join(ids(log)) == "abc" + texts


@ALIKE
def test_time_is_found_in_the_second_file(log: Log, head: bytes) -> None:
    log.rotate(log.dated(11), head + day_lines(11, "a", "b"))
    log.rotate(log.dated(12), head + day_lines(12, "c", "d"))
    log.cursor = log.log.at(datetime(2024, 5, 12, 12, 0, 1, tzinfo=UTC))
    assert ids(log) == ["d"]


@ALIKE
def test_equal_lines_have_different_delivery_ids(log: Log, head: bytes) -> None:
    log.rotate(log.dated(11), head + line("a"))
    log.rotate(log.dated(12), head + line("a"))
    log.cursor = log.log.beginning()
    lines = log.read_lines()
    assert len({line.id for line in lines}) == len(lines) == 2 * (head.count(b"\n") + 1)
    log.cursor = log.log.beginning()
    log.restart()
    assert [line.id for line in log.read_lines()] == [line.id for line in lines]


@ALIKE
def test_rewritten_log_with_the_same_first_line_is_noticed(log: Log, head: bytes) -> None:
    log.write(head + day_lines(11, "a", "b"))
    log.cursor = log.log.beginning()
    log.read()
    log.path.write_bytes(head + day_lines(12, "c", "d", "e"))
    assert ids(log) == ["c", "d", "e"]


def test_cursor_of_version_0_1_is_accepted(log: Log) -> None:
    data = day_lines(11, "a", "b")
    log.rotate(log.dated(11), data)
    mark = fingerprint(day_lines(11, "a"))
    log.cursor = f"{mark}:{len(day_lines(11, 'a'))}"
    (only,) = log.read_lines()
    assert only.id.startswith(f"{mark}:{len(data) // 2:010x}:")
    assert log.read() == []


def test_cursor_text_of_version_0_1(log: Log) -> None:
    log.rotate(log.dated(11), line("a") + line("b"))
    log.cursor = "663f5dc0a14e250dab2a:54"
    (only,) = log.read_lines()
    assert (only.raw, only.stream) == (line("b")[:-1], "663f5dc0a14e250dab2a")


@pytest.mark.parametrize("offset", [0, 1])
def test_ambiguous_cursor_of_version_0_1_uses_the_oldest_file(log: Log, offset: int) -> None:
    log.rotate(log.dated(11), b"\n" + day_lines(11, "a"))
    log.rotate(log.dated(12), b"\n" + day_lines(12, "b"))
    log.cursor = f"00000000656d4a079c26:{offset}"  # as it wrote it
    assert ids(log) == ["a", "b"]


def test_days_after_a_deleted_file_without_a_time_are_read(log: Log) -> None:
    log.rotate(log.dated(11), b"\n" + day_lines(11, "a"))
    log.read()
    log.rotate(log.dated(12), b"\n" + day_lines(12, "b"))
    log.rotate(log.dated(13), b"\n" + day_lines(13, "c"))
    log.dated(11).unlink()
    log.restart()
    assert ids(log) == ["b", "c"]
    assert [loss for loss, _ in log.losses()] == ["missing"]


def test_stale_link_is_not_the_next_file(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a"))
    log.dated(12).write_bytes(day_lines(12, "b"))
    log.cursor = log.log.beginning()
    for _ in range(2):
        log.read()
    log.path.unlink()
    log.path.hardlink_to(log.dated(11))
    log.cursor = log.log.read(log.log.at(datetime(2024, 5, 12, tzinfo=UTC)), 1000).cursor
    assert log.read() == []


def test_partial_plain_file_beside_its_archive_is_not_complete(log: Log) -> None:
    data = day_lines(11, *"abcdef")
    log.rotate(log.dated(11), data)
    log.cursor = log.log.beginning()
    compress(log.dated(11))
    log.dated(11).write_bytes(data[: len(data) // 2])
    log.rotate(log.dated(12), day_lines(12, "g"))
    assert log.read() == list("abcdefg")


def test_file_restarted_on_the_day_it_was_compressed_is_read(log: Log) -> None:
    log.rotate(log.dated(11), day_lines(11, "a"))
    log.read()
    compress(log.dated(11))
    log.restart()
    log.rotate(log.dated(11), line("b", "2024-05-11T18:00:00.000+0000"))
    assert log.read() == ["b"]


def link(tmp_path: Path, target: str) -> Log:
    """A log whose `alerts.json` is a symbolic link into `real`, where the dated files are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "alerts.json").symlink_to(target)
    return Log(tmp_path / "home")


@pytest.mark.parametrize("target", ["../real/alerts.json", "../real/2024/May/ossec-alerts-12.json"])
def test_dated_files_are_beside_the_target_of_a_link(tmp_path: Path, target: str) -> None:
    log = link(tmp_path, target)
    real = Log(tmp_path / "real")
    real.rotate(real.dated(11), day_lines(11, "a", "b"))
    real.rotate(real.dated(12), day_lines(12, "c"))
    compress(real.dated(11))
    log.cursor = log.log.beginning()
    assert log.read() == ["a", "b", "c"]


def test_changed_link_is_followed(tmp_path: Path) -> None:
    log = link(tmp_path, "../real/2024/May/ossec-alerts-11.json")
    real = Log(tmp_path / "real")
    real.dated(11).write_bytes(day_lines(11, "a"))
    log.cursor = log.log.beginning()
    assert log.read() == ["a"]
    real.dated(12).write_bytes(day_lines(12, "b"))
    new = log.path.with_name("new")
    new.symlink_to("../real/2024/May/ossec-alerts-12.json")
    os.replace(new, log.path)  # noqa: PTH105 — as the shell's `ln -sfn` does
    assert log.read() == ["b"]
    assert log.losses() == []
