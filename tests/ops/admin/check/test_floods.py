"""`courier check` suggests a digest where alerts would have waited for more than a minute, and reads a bounded part."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from common.integration import Integration, Section
from common.secret import Secret
from common.settings.rate_limit import parse_rate_limit
from ops.admin.check import floods, recent
from ops.admin.check.floods import find_floods, flood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMITS = {"slack": [parse_rate_limit("1/s burst 3")], "free": []}


def write_log(path: Path, seconds: Iterable[float]) -> Path:
    with path.open("w") as file:
        for second in seconds:
            when = (START + timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
            file.write(json.dumps({"timestamp": when, "rule": {"level": 5, "id": "5710"}}) + "\n")
    return path


def found(path: Path, clock: Callable[[], float] = lambda: 0.0, **settings: Any) -> dict[str, str]:
    integrations = [Integration(id=name, name="slack", **settings) for name in LIMITS]
    return find_floods(path, LIMITS, integrations, clock=clock, now_s=START.timestamp() + 86_400)


@pytest.mark.parametrize(
    ("moments", "limit", "late"),
    [
        ([100.0] * 63, "1/s burst 3", None),  # the last one waits for 60 s
        ([100.0] * 73, "1/s burst 3", 10),
        ([float(n) for n in range(1, 1_000)], "1/s", None),
        ([1.0] * 40, "20/min", None),
        ([1.0] * 50, "20/min", 10),
        ([1.0] * 3 + [500.0] * 3, "1/s burst 3", None),
        ([], "1/s", None),
    ],
)
def test_waiting_times_follow_from_the_limit(moments: list[float], limit: str, late: int | None) -> None:
    result = flood(moments, parse_rate_limit(limit))
    assert (result and result.alerts) == late


def test_a_flood_is_found_and_says_when_and_how_late(tmp_path: Path) -> None:
    log = write_log(tmp_path / "alerts.json", [0.0, *(600.0 for _ in range(300)), 4_000.0])
    assert found(log) == {
        "slack": "at 1/s burst 3, 237 alerts from 2026-11-30T12:10:00Z to 2026-11-30T12:10:00Z would wait for more "
        "than a minute, up to 5 minutes: [integrations.slack.digest] sends one message in place of many (by the newest "
        "302 alerts of the last day)"
    }
    assert found(log, level=7) == {}


def test_a_flood_of_the_day_before_is_none(tmp_path: Path) -> None:
    assert found(write_log(tmp_path / "alerts.json", [*(0.0 for _ in range(300)), 86_401.0])) == {}


@pytest.mark.parametrize("second", [73 * 365 * 86_400.0, -50 * 365 * 86_400.0])
def test_an_alert_of_a_wrong_clock_hides_no_flood(tmp_path: Path, second: float) -> None:
    log = write_log(tmp_path / "alerts.json", [*(0.0 for _ in range(300)), second, 4_000.0, second])
    assert "237 alerts" in found(log)["slack"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000+1400", "9999-12-31T23:59:59.999-2359"])
def test_a_time_that_is_in_no_year_is_none(tmp_path: Path, moment: str) -> None:
    log = tmp_path / "alerts.json"
    log.write_text(f'{{"timestamp":"{moment}","rule":{{"level":5,"id":"5710"}}}}\n' * 300)
    assert found(log) == {}


def test_the_time_and_the_bytes_that_are_read_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_log(tmp_path / "alerts.json", [0.0] * 5_000)
    monkeypatch.setattr(recent, "BLOCK_BYTES", 8_100)
    ticks = count()
    slow = found(log, clock=lambda: float(next(ticks)))  # each look at the clock, one a block, takes a second
    assert "by the newest 98 alerts of the log; older ones of that day were not read" in slow["slack"]
    monkeypatch.setattr(floods, "MAX_BYTES", 20_000)
    assert "by the newest 246 alerts of the log; older ones of that day were not read" in found(log)["slack"]


@pytest.mark.parametrize(
    "line", [b"\xff", b"{}", b'{"timestamp": 7}', b"[" * 5_000, b'{"timestamp": "2026-99-30T12:00:00"}']
)
def test_damaged_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    log = write_log(tmp_path / "alerts.json", [0.0] * 100)
    log.write_bytes(line + b"\n" + log.read_bytes() + line + b"\n")
    assert "37 alerts" in found(log)["slack"]


def test_a_look_up_and_what_has_a_digest_get_no_suggestion(tmp_path: Path) -> None:
    log = write_log(tmp_path / "alerts.json", [0.0] * 300)
    digest = (Section(name="digest", values=Secret("{}")),)
    has_one = [Integration(id="v", name="virustotal"), Integration(id="s", name="slack", sections=digest)]
    limits = {name: [parse_rate_limit("4/min")] for name in "vs"}
    assert find_floods(log, limits, has_one, clock=lambda: 0.0, now_s=0.0) == {}
