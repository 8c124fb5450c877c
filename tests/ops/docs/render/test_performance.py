from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ops.docs.render import performance
from ops.docs.render.generated_sections import END
from ops.docs.render.performance import (
    BEGIN,
    HIGHLIGHTS,
    PAGE,
    README,
    committed,
    main,
    render,
    render_readme,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESULT: dict[str, Any] = {
    "bench": "commit_rate",
    "about": "5 rounds",
    "load": 0.5,
    "figures": {
        "ratio": {"median": 0.5, "values": [0.4, 0.5, 0.7], "better": "more", "goal": 0.6},
        "p99_ms": {"median": 4.0, "values": [4.0], "better": "less", "goal": 100.0},
        "pipelined_per_s": {"median": 61234.0, "values": [61234.0], "better": "neither", "goal": None},
    },
}


@pytest.mark.parametrize(("path", "rendered"), [(PAGE, render), (README, render_readme)], ids=["page", "readme"])
def test_pages_match_the_committed_results(path: Path, rendered: Callable[..., str]) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == rendered(page, committed()), "run: python -m ops.docs.render.performance"


def test_every_figure_has_command_spread_and_goal() -> None:
    page = render(f"by hand\n{BEGIN}old\n{END}by hand, too\n", [RESULT])
    assert page.startswith(f"by hand\n{BEGIN}")
    assert page.endswith(f"{END}by hand, too\n")
    assert "old" not in page
    assert "`make bench-commit-rate`: 5 rounds." in page
    assert "| `ratio` | 0.5 | 0.4 to 0.7 | ≥ 0.6 | **missed** |" in page
    assert "| `p99_ms` | 4 | 4 to 4 | ≤ 100 | met |" in page
    assert "| `pipelined_per_s` | 61,234 | 61,234 to 61,234 | | reference |" in page


def test_readme_shows_only_figures_with_results() -> None:
    result = {"bench": "latency", "figures": {"p50_ms": RESULT["figures"]["p99_ms"], "worst_ms": {}}}
    page = render_readme(f"by hand\n{BEGIN}old\n{END}by hand, too\n", [result])
    table = page.partition(BEGIN)[2].partition(END)[0]
    assert table.split("\n", 3)[3] == (
        "| newline to request at 200 alerts/s, median, ms | 4 | ≤ 100 | `make bench-latency` |\n\n"
    )


def test_every_highlight_is_a_figure_of_its_benchmark() -> None:
    results = {one["bench"]: one["figures"] for one in committed()}
    assert all(name in results[bench] for _, bench, name in HIGHLIGHTS if bench in results)


def test_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks one of the markers"):
        render("# Performance\n", [])


def test_check_reports_an_outdated_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setattr(performance, "committed", lambda: [RESULT])
    assert main(["--check"]) == 1
    assert "run python -m ops.docs.render.performance" in capsys.readouterr().err
