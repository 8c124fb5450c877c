from __future__ import annotations

import json
from typing import TYPE_CHECKING

from producer.quarantine import SAMPLE_BYTES, Quarantine
from tests.support.fakes import Clock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_quarantine_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "aside.jsonl"
    Quarantine(file, 10_000, Clock()).add("invalid_json", "at byte 7", b"\xff{" + b"x" * 5000)
    (line,) = file.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["reason"], entry["detail"], entry["sample"][:5]) == ("invalid_json", "at byte 7", "\\xff{")
    assert len(entry["sample"]) <= SAMPLE_BYTES + 3
    assert file.stat().st_mode & 0o777 == 0o600


def test_quarantine_file_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    aside = Quarantine(tmp_path / "a", 4000, Clock())
    for n in range(500):
        aside.add("no_rule", f"line {n}")
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert set(sizes) == {"a", "a.1"}
    assert sum(sizes.values()) <= 4000
    assert "line 499" in (tmp_path / "a").read_text()


def test_many_rejected_lines_do_not_flood_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    aside = Quarantine(tmp_path / "a", 4000, clock)
    for _ in range(100):
        aside.add("no_rule", "no rule here")
    clock.now_s += 60
    aside.add("no_rule", "again")
    assert [record.getMessage() for record in caplog.records] == [
        "rejected: no rule here",
        "rejected: again (and 99 more like it)",
    ]


def test_full_disk_is_logged_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    aside = Quarantine(tmp_path / "missing" / "a", 4000, Clock())
    for _ in range(3):
        aside.add("no_rule", "x")
    assert len([r for r in caplog.records if "rejected lines are only counted" in r.getMessage()]) == 1
