"""An alert is found by its own id near the time in the id, in plain, dated and compressed files."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.admin.explain.search import WINDOW_S, Missing, find_alert, is_alert_id
from producer.alertlog import AlertLog
from tests.producer.alertlog.tail import Log, compress, counted_reads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.source import Line

START_S = 1_715_414_400
"""2024-05-11T08:00:00Z."""
MIB = 1024 * 1024


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.log.close()


def alert(alert_id: str, written_s: float, text: str = "") -> bytes:
    time = datetime.fromtimestamp(written_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return json.dumps({"timestamp": time, "rule": {"level": 3}, "id": alert_id, "full_log": text}).encode() + b"\n"


def second(at: int) -> bytes:
    return alert(f"{START_S + at}.{abs(at)}", START_S + at)


def found(log: Log, alert_id: str) -> bytes | None:
    result = find_alert(log.log, alert_id, "alerts.json")
    return None if isinstance(result, Missing) else result[0].raw


@pytest.mark.parametrize("text", ["1764000000.123", "0.0"])
def test_ids_of_alerts(text: str) -> None:
    assert is_alert_id(text)


@pytest.mark.parametrize("text", ["", "1764000000", "1.2.3", "-1.5", "n:1.2", "123456789012.1", "1.1\n"])
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_alert_id(text)


def test_alert_is_found_in_every_file(log: Log) -> None:
    days = {10: -86_400, 11: 0, 12: 86_400}
    log.dated(10).write_bytes(second(days[10]) + second(days[10] + 1))
    compress(log.dated(10))
    log.dated(11).write_bytes(second(0) + second(1))
    log.dated(11, 1).write_bytes(second(600))
    log.rotate(log.dated(12), second(days[12]))
    for at in (days[10], days[10] + 1, 0, 1, 600, days[12]):
        assert found(log, f"{START_S + at}.{abs(at)}") == second(at)[:-1]


def test_large_file_is_searched_by_bisection(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with log.path.open("wb") as file:
        for at in range(60_000):
            file.write(alert(f"{START_S + at}.{at}", START_S + at, "x" * 900))
    size = log.path.stat().st_size
    assert size > 50 * MIB
    for at in (3, 17_000, 59_998):
        with monkeypatch.context() as patch:
            read = counted_reads(patch)
            assert found(log, f"{START_S + at}.{at}") is not None
        assert sum(read) < 10 * MIB


def test_search_in_a_large_file_ends_behind_the_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(b"".join(alert(f"{START_S + at}.{at}", START_S + at, "x" * 900) for at in range(20_000)))
    read = counted_reads(monkeypatch)
    result = find_alert(log.log, f"{START_S + 5}.99", "alerts.json")
    assert isinstance(result, Missing)
    assert result.where.endswith(
        "lines from 2024-05-11T07:59:05Z to 2024-05-11T08:01:05Z of alerts.json and its dated files"
    )
    assert sum(read) < 4 * MIB


def test_id_in_the_text_of_another_alert_is_not_the_alert(log: Log) -> None:
    wanted = f"{START_S + 1}.1"
    log.write(alert(f"{START_S}.0", START_S, f'"id": "{wanted}"') + alert(wanted, START_S + 1))
    assert found(log, wanted) == alert(wanted, START_S + 1)[:-1]


def test_alert_in_a_damaged_line_is_found(log: Log) -> None:
    log.write(second(0) + b'{"timestamp":"2024-05' + second(1) + second(2))
    assert found(log, f"{START_S + 1}.1") == second(1)[:-1]


def test_every_alert_with_the_id_is_found(log: Log) -> None:
    wanted, again = f"{START_S}.1", alert(f"{START_S}.1", START_S + 1, "again")
    log.write(second(0) + alert(wanted, START_S) + second(1) + again + second(2))
    result = find_alert(log.log, wanted, "alerts.json")
    assert not isinstance(result, Missing)
    assert [one.raw for one in result] == [alert(wanted, START_S)[:-1], again[:-1]]


def test_missing_alert_names_where_it_was_searched(log: Log) -> None:
    nothing = find_alert(log.log, "1764000000.1", "alerts.json")
    assert nothing == Missing(
        "there is no line from 2025-11-24T15:59:00Z to 2025-11-24T16:01:00Z of alerts.json and its dated files"
    )
    log.write(second(0))
    older = find_alert(log.log, "1264000000.1", "alerts.json")
    assert isinstance(older, Missing)
    assert "it is not among" in older.where
    newer = find_alert(log.log, "1764000000.1", "alerts.json")
    assert isinstance(newer, Missing)
    assert newer.where.endswith("; the oldest line is of 2024-05-11T08:00:00Z")


def test_search_stops_early_if_the_log_begins_later(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(b"".join(alert(f"{START_S + at}.{at}", START_S + at, "x" * 900) for at in range(20_000)))
    read = counted_reads(monkeypatch)
    assert isinstance(find_alert(log.log, f"{START_S - 100_000}.1", "alerts.json"), Missing)
    assert sum(read) < 4 * MIB


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, int(WINDOW_S))), min_size=1, max_size=40), st.data())
def test_every_alert_of_a_nearly_ordered_log_is_found(entries: list[tuple[int, int]], data: st.DataObject) -> None:
    """Each line is written up to WINDOW_S after its time, so its neighbours are up to that much newer."""
    lines = [alert(f"{START_S + at}.{n}", START_S + at) for n, (at, _) in enumerate(entries)]
    order = sorted(range(len(lines)), key=lambda n: sum(entries[n]))
    cut = data.draw(st.integers(0, len(lines)))
    with TemporaryDirectory() as folder:
        log = Log(Path(folder))
        log.dated(10).write_bytes(b"".join(lines[n] for n in order[:cut]))
        if cut and data.draw(st.booleans()):
            compress(log.dated(10))
        log.rotate(log.dated(11), b"".join(lines[n] for n in order[cut:]))
        with closing(log.log):
            for n, (at, _) in enumerate(entries):
                assert found(log, f"{START_S + at}.{n}") == lines[n][:-1]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_search_can_be_ended_at_each_block_and_closes_its_files(tmp_path: Path, *, zipped: bool) -> None:
    log = Log(tmp_path)
    log.dated(11).write_bytes(b"".join(second(at) * 20 for at in range(1000)))
    if zipped:
        compress(log.dated(11))
    allowed = 0

    def before_read() -> None:
        nonlocal allowed
        allowed -= 1
        if allowed < 0:
            raise TimeoutError

    def search() -> tuple[Line, ...] | Missing:
        with closing(AlertLog(log.path, max_line_bytes=MIB, before_read=before_read)) as source:
            return find_alert(source, f"{START_S + 900}.900", "")

    log.log.close()
    opened = len([*Path("/proc/self/fd").iterdir()])
    ended = 0
    while True:
        allowed = ended
        try:
            assert not isinstance(search(), Missing)
            break
        except TimeoutError:
            ended += 1
    assert ended > 3, "it reads several blocks"
    assert len([*Path("/proc/self/fd").iterdir()]) == opened
