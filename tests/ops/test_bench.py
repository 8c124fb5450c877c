from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench import __main__ as runner
from ops.bench import report as reporting
from ops.bench.compare import Measured, Result, Verdict, changes, missed, read_results
from ops.bench.report import Figure, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Literal

VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=7).map(tuple)


def result(about: str = "5 rounds", **figures: Measured) -> Result:
    return Result("delivery", about, 0.5, figures)


def measured(
    *values: float, better: Literal["more", "less", "neither"] = "more", goal: float | None = None
) -> Measured:
    return Measured(sorted(values)[len(values) // 2], values, better, goal)


def verdicts(old: Result, new: Result) -> dict[str, Verdict]:
    return {change.figure: change.verdict for change in changes(old, new)}


def test_a_ratio_that_fell_is_worse_and_a_rate_that_fell_is_a_hint() -> None:
    old = result(ratio=measured(200, 210, 190), per_s=measured(2000, 2100, 1900))
    new = result(ratio=measured(150, 140, 145), per_s=measured(1500, 1400, 1450))
    assert verdicts(old, new) == {"ratio": Verdict.WORSE, "per_s": Verdict.SLOWER}


def test_less_is_better_where_it_is_said() -> None:
    old = result(p99_ms=measured(10, 11, better="less"), p99_ratio=measured(1.0, 1.1, better="less"))
    new = result(p99_ms=measured(5, 6, better="less"), p99_ratio=measured(2.0, 2.1, better="less"))
    assert verdicts(old, new) == {"p99_ms": Verdict.BETTER, "p99_ratio": Verdict.WORSE}


def test_what_was_measured_otherwise_is_never_more_than_a_hint() -> None:
    old, new = result("5 rounds", ratio=measured(200)), result("1 round", ratio=measured(100))
    assert verdicts(old, new) == {"ratio": Verdict.SLOWER}


def test_what_the_rounds_spread_over_is_no_change() -> None:
    old = result(ratio=measured(100, 200, 210))
    assert not verdicts(old, result(ratio=measured(140, 145, 150)))
    assert not verdicts(old, result(ratio=measured(90, 95, 205)))


def test_up_to_the_tolerance_is_no_change() -> None:
    assert not verdicts(result(ratio=measured(100, 101, 102)), result(ratio=measured(82, 81, 83)))


def test_references_and_new_figures_are_not_judged() -> None:
    old = result(serial_per_s=measured(8, better="neither"))
    assert not verdicts(old, result(serial_per_s=measured(4, better="neither"), ratio=measured(1)))


@given(VALUES)
def test_the_same_result_is_no_change(values: tuple[float, ...]) -> None:
    same = result(ratio=measured(*values))
    assert not verdicts(same, same)


@given(VALUES, VALUES)
def test_what_is_worse_one_way_is_better_the_other_way(some: tuple[float, ...], others: tuple[float, ...]) -> None:
    more = verdicts(result(ratio=measured(*some)), result(ratio=measured(*others)))
    less = verdicts(result(ratio=measured(*some, better="less")), result(ratio=measured(*others, better="less")))
    opposite = {Verdict.WORSE: Verdict.BETTER, Verdict.BETTER: Verdict.WORSE}
    assert less == {name: opposite[verdict] for name, verdict in more.items()}


def test_a_change_is_told_with_its_size() -> None:
    (change,) = changes(result(ratio=measured(200)), result(ratio=measured(150)))
    assert change.line() == "WORSE    delivery ratio: 200 -> 150 (-25 %)"


def test_a_missed_goal_is_told() -> None:
    found = result(ratio=measured(150, goal=200), p50_ms=measured(20, better="less", goal=20))
    assert missed(found) == ["MISSED   delivery ratio: 150, goal >= 200"]


def test_a_report_is_printed_kept_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporting, "OUT", tmp_path / "out")
    figures = [Figure("ratio", (1.0, 3.0, 2.0), "more", 2.0), Figure("p99_ms", (120.0,), "less", 100.0)]
    assert report("delivery", figures, about="3 rounds") == 1
    printed = capsys.readouterr().out
    assert "1 to 3" in printed
    assert printed.count("MISSED") == 1
    kept = read_results(tmp_path / "out")["delivery"]
    assert kept.about == "3 rounds"
    assert kept.figures["ratio"] == Measured(2.0, (1.0, 3.0, 2.0), "more", 2.0)
    assert missed(kept) == ["MISSED   delivery p99_ms: 120, goal <= 100"]


def test_a_report_without_a_missed_goal_is_a_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "OUT", tmp_path)
    assert report("latency", [Figure("p50_ms", (5.0,), "less", 20.0), Figure("load", (1.0,))]) == 0


def test_a_file_that_no_benchmark_wrote_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(ValueError, match=r"odd\.json is not what a benchmark wrote"):
        read_results(tmp_path)


class Ran:
    """Stands in for running a benchmark: writes what it is told."""

    def __init__(self, ratio: float) -> None:
        self.ratio, self.options = ratio, [""]

    def __call__(self, name: str, options: Sequence[str], out: Path) -> bool:
        self.options = list(options)
        values = f'{{"median": {self.ratio}, "values": [{self.ratio}], "better": "more", "goal": 100}}'
        content = f'{{"bench": "{name}", "about": "", "load": 0, "figures": {{"ratio": {values}}}}}'
        (out / f"{name}.json").write_text(content)
        return True


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reporting, "OUT", tmp_path / "out")
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "kept")
    return tmp_path


def test_a_kept_result_is_what_the_next_run_is_compared_with(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "run", Ran(300))
    assert runner.main(["latency", "--save"]) == 0
    assert "new      latency" in capsys.readouterr().out
    assert (place / "kept" / "latency.json").exists()
    assert runner.main(["latency"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    monkeypatch.setattr(runner, "run", Ran(200))
    assert runner.main(["latency"]) == 1
    assert "WORSE    latency ratio: 300 -> 200 (-33 %)" in capsys.readouterr().out


@pytest.mark.usefixtures("place")
def test_a_missed_goal_and_a_benchmark_without_results_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "run", Ran(99))
    assert runner.main(["commit"]) == 1
    assert "MISSED   commit ratio: 99" in capsys.readouterr().out
    monkeypatch.setattr(runner, "run", lambda *_: False)
    assert runner.main(["commit"]) == 1
    assert "FAILED   commit did not finish" in capsys.readouterr().out


@pytest.mark.usefixtures("place")
def test_quick_passes_the_quick_options(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Ran(300)
    monkeypatch.setattr(runner, "run", ran)
    runner.main(["memory", "--quick"])
    assert ran.options == ["--gib", "1"]
    runner.main(["memory"])
    assert ran.options == []


@pytest.mark.parametrize("arguments", [["nonsense"], ["--quick", "--save"]])
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(arguments)
    assert ended.value.code == 2


@pytest.mark.usefixtures("place")
def test_a_process_that_writes_no_result_did_not_finish(tmp_path: Path) -> None:
    assert not runner.run("latency", ["--nonsense"], tmp_path)
