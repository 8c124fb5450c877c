"""Tests of the results that a benchmark reports, and of the comparison of two results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ops.bench import __main__ as runner
from ops.bench import delivery, folding, raw_http, scanning, scripts, stock_loop
from ops.bench import report as reporting
from ops.bench.alerts import alerts
from ops.bench.compare import changes
from ops.bench.report import Figure, report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store results in the test's own folders."""
    monkeypatch.setattr(reporting, "OUT", tmp_path / "out")
    monkeypatch.setattr(runner, "OUT", tmp_path / "out")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")


def result(**figures: tuple[float, ...]) -> dict[str, Any]:
    """Return the results of a benchmark with these figures; for `_ms`, less is better."""
    found = [Figure(name, values, "less" if name.endswith("_ms") else "more") for name, values in figures.items()]
    report("made-up", found)
    read: dict[str, Any] = json.loads((reporting.OUT / "made-up.json").read_text())
    return read


@pytest.mark.parametrize(
    ("better", "goal", "status", "verdict"),
    [("more", 2.0, 0, "met"), ("more", 2.1, 1, "MISSED"), ("less", 2.0, 0, "met"), ("less", 1.9, 1, "MISSED")],
)
def test_median_is_compared_with_the_goal(
    better: Any, goal: float, status: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("made-up", [Figure("ratio", (1.0, 2.0, 9.0), better, goal)]) == status
    out = capsys.readouterr().out
    assert verdict in out
    assert "1 to 9" in out


@pytest.mark.parametrize(
    ("before", "now", "reported"),
    [
        ({"ratio": (2.0, 2.1)}, {"ratio": (1.0, 1.1)}, [("ratio", True, True)]),
        ({"ratio": (1.0, 1.1)}, {"ratio": (2.0, 2.1)}, [("ratio", False, True)]),
        ({"p99_ms": (1.0, 1.1)}, {"p99_ms": (2.0, 2.1)}, [("p99_ms", True, False)]),
        ({"p99_ms": (2.0, 2.1)}, {"p99_ms": (1.0, 1.1)}, [("p99_ms", False, False)]),
        ({"ratio": (1.0, 1.1)}, {"ratio": (0.9, 1.0)}, []),
        ({"ratio": (1.0, 2.0, 3.0)}, {"ratio": (0.9, 1.0, 1.1)}, []),
        ({"ratio": (1.0,)}, {"per_s": (1.0,)}, []),
    ],
    ids=["worse", "better", "slower", "faster", "within-tolerance", "within-spread", "another-figure"],
)
def test_only_clear_differences_are_reported(
    before: dict[str, Any], now: dict[str, Any], reported: list[tuple[str, bool, bool]]
) -> None:
    found = changes(result(**before), result(**now))
    assert [(one.figure, one.worse, one.counts) for one in found] == reported


def test_worse_ratio_fails_the_run_but_worse_rate_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ALL", {"made-up": ""})
    monkeypatch.setattr(runner, "run", lambda *_: result(ratio=(2.0,), alerts_per_s=(100.0,)))
    assert runner.main(["--save"]) == 0
    monkeypatch.setattr(runner, "run", lambda *_: result(ratio=(2.0,), alerts_per_s=(10.0,)))
    assert runner.main([]) == 0
    monkeypatch.setattr(runner, "run", lambda *_: result(ratio=(1.0,), alerts_per_s=(100.0,)))
    assert runner.main([]) == 1


def test_benchmark_without_results_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run", lambda *_: None)
    assert runner.main(["latency"]) == 1


def test_unknown_benchmark_is_refused_with_the_known_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        runner.main(["speed"])
    assert "unknown benchmark: speed; known are delivery" in capsys.readouterr().err


def test_results_with_other_options_are_only_a_hint() -> None:
    found = changes(result(ratio=(2.0,)), result(ratio=(1.0,)) | {"about": "quickly"})
    assert [(one.worse, one.counts) for one in found] == [(True, False)]


def test_quick_passes_the_quick_options(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[list[str]] = []
    monkeypatch.setattr(runner, "run", lambda _name, options: passed.append(list(options)))
    runner.main(["memory", "--quick"])
    runner.main(["memory"])
    runner.main(["soak", "--quick"])
    assert passed == [["--gib", "1"], [], ["--minutes", "2"]]


def test_long_benchmarks_run_only_if_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(runner, "run", lambda name, _options: names.append(name))
    runner.main([])
    assert names == list(runner.ALL)
    runner.main(["growth"])
    assert names[-1] == "growth"


def test_quick_results_cannot_be_saved() -> None:
    with pytest.raises(SystemExit, match="2"):
        runner.main(["--quick", "--save"])


def test_delivery_has_a_goal_per_latency_and_none_for_references() -> None:
    found = delivery.figures(50.0, [{"ratio_to_serial": 310.0, "cpu_ms": 0.5, "serial_per_s": 6.0}] * 5)
    goals = {one.name: (one.better, one.goal) for one in found}
    assert goals == {
        "ratio_to_serial_at_50_ms": ("more", 300.0),
        "cpu_ms_at_50_ms": ("less", 0.6),
        "serial_per_s_at_50_ms": ("neither", None),
    }


def test_raw_http_posts_to_a_real_target() -> None:
    rate = raw_http.measure(0.0, seconds=0.05)
    assert rate.per_s > 0
    assert rate.cpu_ms > 0


def test_stock_loop_spawns_a_script_for_each_alert() -> None:
    assert stock_loop.measure(2, 0.0) > 0


def test_scripts_run_on_every_core_and_a_failure_is_reported() -> None:
    with scripts.manager_folder() as home:
        assert scripts.spawns_per_s(home, "shell", 4) > 0
        failing = home / "integrations" / "custom-shell"
        failing.chmod(0o750)
        failing.write_text("#!/bin/sh\nexit 1\n")
        with pytest.raises(RuntimeError, match="a script failed"):
            scripts.spawns_per_s(home, "shell", 4)


@pytest.mark.parametrize("case", scanning.CASES)
def test_scanning_reads_every_line_or_fails(case: str, tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(b"".join(alerts(50)))
    assert scanning.ours_s(path, scanning.CASES[case], 50) > 0
    with pytest.raises(RuntimeError, match="50 lines were read of 51"):
        scanning.ours_s(path, scanning.CASES[case], 51)


def test_folding_commits_and_folds_every_alert() -> None:
    rates = {figure.name: figure.median for figure in folding.rates(300, 1)}
    assert rates["commit_digest_ratio"] > 0
    assert rates["many_first_3_cpu_us"] > 0
    memory, messages = folding.footprint(2_500)
    assert memory.median > 0
    assert messages.median == folding.MANY_GROUPS
