"""Tests of the log, the counts and the judgement of the soak benchmark."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench.alerts import alert_id
from ops.bench.rotating_log import PARTS_A_DAY, RotatingLog
from ops.bench.sampling import Tally, growth, growth_of_floor
from ops.bench.target import Record

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("ossec-alerts-*"))


def test_log_is_a_hard_link_to_the_dated_file(tmp_path: Path) -> None:
    current = tmp_path / "alerts.json"
    log = RotatingLog(current)
    log.append(2)
    log.rotate()
    log.append(1)
    log.close()
    day = tmp_path / "2026/Jan"
    assert current.samefile(day / "ossec-alerts-05-001.json")
    lines = b"".join((day / name).read_bytes() for name in ("ossec-alerts-05.json", "ossec-alerts-05-001.json"))
    assert [json.loads(line)["id"] for line in lines.splitlines()] == [alert_id(n) for n in range(3)]


def test_past_day_is_compressed_and_deleted_once_delivered(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "alerts.json")
    for _ in range(PARTS_A_DAY + 1):
        log.append(10)
        log.rotate()
    log.tidy(arrived=15)
    assert files(tmp_path) == [
        "ossec-alerts-05-001.json.gz",
        "ossec-alerts-05-002.json.gz",
        "ossec-alerts-06-001.json",
        "ossec-alerts-06.json",
    ]
    packed = tmp_path / "2026/Jan/ossec-alerts-05-001.json.gz"
    assert gzip.decompress(packed.read_bytes()).count(b"\n") == 10
    log.tidy(arrived=40)
    assert files(tmp_path) == ["ossec-alerts-06-001.json", "ossec-alerts-06.json"]
    log.close()


@given(st.lists(st.lists(st.integers(0, 40)), max_size=5))
def test_every_alert_is_counted_once_per_arrival(arrivals: list[list[int]]) -> None:
    tally = Tally()
    for some in arrivals:
        tally.add({alert_id(n): some.count(n) for n in set(some)})
    numbers = [n for some in arrivals for n in some]
    assert tally.distinct == len(set(numbers))
    assert tally.repeats == len(numbers) - len(set(numbers))
    assert tally.unbroken == next(n for n in range(42) if n not in numbers)


def test_target_forgets_ids_once_they_are_fetched() -> None:
    record = Record()
    for n in (1, 2, 1):
        record.note(b'{"ts": "%s"}' % alert_id(n).encode())
    assert json.loads(record.take_ids().partition(b"\r\n\r\n")[2]) == {alert_id(1): 2, alert_id(2): 1}
    assert json.loads(record.take_ids().partition(b"\r\n\r\n")[2]) == {}
    assert record.requests == 3


@pytest.mark.parametrize(
    ("values", "by_median", "by_floor"),
    [
        ([50.0, 60.0] + [60.0] * 6, 0, 0),
        (list(range(16)), 8, 8),
        ([5.0] * 12 + [5.0, 90.0, 90.0, 90.0], 85, 0),
    ],
    ids=["warming-up", "leak", "piled-up-for-a-while"],
)
def test_growth_ignores_the_first_quarter(values: list[float], by_median: float, by_floor: float) -> None:
    assert growth(values) == by_median
    assert growth_of_floor(values) == by_floor
