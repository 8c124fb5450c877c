"""A last line without a line end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.producer.alertlog.tail import compress, day_lines

if TYPE_CHECKING:
    from tests.producer.alertlog.tail import Log


def ids(log: Log) -> list[str]:
    return [json.loads(line.raw)["id"] for line in log.read_lines()]


def unended(day: int, *texts: str) -> bytes:
    return day_lines(day, *texts).replace(b'","id"', b'","rule":{},"id"').removesuffix(b"\n")


@pytest.mark.parametrize("before", [(), ("a",)])
@pytest.mark.parametrize("packed", [False, True])
def test_whole_last_line_without_a_line_end_is_read(log: Log, before: tuple[str, ...], packed: bool) -> None:
    log.rotate(log.dated(11), unended(11, *before, "last"))
    log.cursor = log.log.beginning() if before else log.cursor
    assert ids(log) == list(before)
    log.rotate(log.dated(12), day_lines(12, "next"))
    if packed:
        compress(log.dated(11))
        log.restart()
    cursor = log.cursor
    assert ids(log) == ["last", "next"]
    assert log.losses() == []
    if before and not packed:
        with log.dated(11).open("ab") as file:
            file.write(b"\n")
        assert ids(log) == []
        after = log.log.read(cursor, 1000).lines
        assert [json.loads(line.raw)["id"] for line in after if line.raw][-1:] == ["last"]


def test_late_line_end_repeats_nothing(log: Log) -> None:
    log.rotate(log.dated(11), unended(11, "a", "last"))
    log.cursor = log.log.beginning()
    ids(log)
    log.rotate(log.dated(12), day_lines(12, "next"))
    (last,) = log.log.read(log.cursor, 1000).lines
    log.cursor = last.next_cursor  # there the backlog was full
    with log.dated(11).open("ab") as file:
        file.write(b"\n")
    log.restart()
    assert [line.raw for line in log.read_lines()][:1] == [b""]
