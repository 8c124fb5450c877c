"""Generates the tables of performance.md and of the README from the committed results of the benchmarks.

    python -m ops.docs.render.performance [--check]

Run it after `make bench SAVE=1`. It replaces only the part between the two markers of each page.
With `--check` nothing is written: the exit status is 1 if a page is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.bench.__main__ import RESULTS
from ops.bench.compare import is_met
from ops.bench.report import short
from ops.docs.render.generated_sections import begin, between

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGE: Final = Path(__file__).parents[1] / "performance.md"
README: Final = Path(__file__).parents[3] / "README.md"
BEGIN: Final = begin("ops.docs.render.performance")

HIGHLIGHTS: Final = (
    ("times the stock loop's rate, the target responds at once", "delivery", "ratio_to_serial_at_0_ms"),
    ("the same, it responds after 50 ms", "delivery", "ratio_to_serial_at_50_ms"),
    ("the same, it responds after 200 ms", "delivery", "ratio_to_serial_at_200_ms"),
    ("deliveries a second, it responds after 50 ms", "delivery", "per_s_at_50_ms"),
    ("CPU of producer and workers for one, ms", "delivery", "cpu_ms_at_50_ms"),
    ("newline to request at 200 alerts/s, median, ms", "latency", "p50_ms"),
    ("the same, 99 of 100, ms", "latency", "p99_ms"),
    ("the same for a lone alert, ms", "steady", "lone_p50_ms"),
    ("CPU with Redis at 200 alerts/s, ms", "steady", "200_per_s_cpu_ms"),
    ("`courier up` without alerts, % of a core", "steady", "idle_percent"),
    ("alerts a second that match nothing, one core", "scanning", "prefilter_level_alerts_per_s"),
    ("times msgspec's decoding, with a filter by level", "scanning", "prefilter_level_vs_msgspec"),
    ("the same, by level and group: 3 of 100 need the full match", "scanning", "prefilter_level_group_vs_msgspec"),
    ("commits a second, one core", "commit_rate", "commits_per_s"),
    ("times a pipelined write of the same bytes", "commit_rate", "ratio_to_pipelined"),
    ("most memory of a producer at full load, MB", "soak", "producer_peak_mb"),
    ("most memory of an HTTP worker at full load, MB", "soak", "worker_peak_mb"),
    ("memory of Redis for a delivery that waits, times the alert", "footprint", "ratio"),
    ("cost of a delivery with 1,000,000 waiting, times that with 1,000", "backlog", "ratio"),
    ("the same with alerts for 3 of 100 integrations", "growth", "ratio_3_of_100"),
    ("the same with alerts for all of 100", "growth", "ratio_100_of_100"),
    ("the same with a log of 10 GB", "growth", "ratio_long_log"),
    ("scripts that import `requests`, times the machine's own rate", "scripts", "usual_ratio"),
    ("half an hour of load, rotations, recycled workers: alerts lost", "soak", "lost"),
    ("the same: what a worker's memory grows by, MB", "soak", "worker_mb_growth"),
)
"""The figures in the README: description, benchmark, name of the figure."""

REGIMES: Final = {
    "delivery": "backlog",
    "services": "backlog",
    "growth": "backlog",
    "backlog": "backlog",
    "soak": "backlog, then steady",
    "latency": "steady",
    "steady": "steady, and a backlog in `flood`",
    "isolation": "backlog, then steady",
}
"""How alerts arrive in the benchmarks of the whole path; the others measure a part."""


def render(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page with the tables of all results replaced. Raises ValueError if a marker is missing."""
    return between(page, BEGIN, "\n".join(map(_table, results)))


def render_readme(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the README with its table replaced. Raises ValueError if a marker is missing."""
    figures = _figures(results)
    rows = [
        f"| {words} | {short(one['median'])} | {_goal_of(one)} | `{command(bench)}` |\n"
        for words, bench, name in HIGHLIGHTS
        if (one := figures.get((bench, name)))
    ]
    return between(page, BEGIN, f"| | measured | goal | command |\n|---|---:|---:|---|\n{''.join(rows)}")


def command(bench: str) -> str:
    """Return the command that reproduces a benchmark."""
    return "make soak" if bench == "soak" else f"make bench-{bench.replace('_', '-')}"


def committed(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return all committed results, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


@cache
def _committed_figures() -> dict[tuple[str, str], Mapping[str, Any]]:
    return _figures(committed())


def median_of(bench: str, figure: str) -> float:
    """Return the median of a figure in the committed results. Raises KeyError if there is none."""
    found: float = _committed_figures()[bench, figure]["median"]
    return found


def _figures(results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(one["bench"], name): figure for one in results for name, figure in one["figures"].items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages. Return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is outdated")
    chosen = parser.parse_args(arguments)
    results, stale = committed(), []
    for path, rendered in ((PAGE, render), (README, render_readme)):
        page = path.read_text(encoding="utf-8")
        wanted = rendered(page, results)
        if not chosen.check:
            path.write_text(wanted, encoding="utf-8")
        elif page != wanted:
            stale.append(path.name)
    for name in stale:
        sys.stderr.write(f"{name} is not what the results say: run python -m ops.docs.render.performance\n")
    return int(bool(stale))


def _table(result: Mapping[str, Any]) -> str:
    name = result["bench"]
    regime = f" Regime: {REGIMES[name]}." if name in REGIMES else ""
    head = f"### {name}\n\n`{command(name)}`: {result['about']}.{regime}\n\n"
    return head + "| figure | median | rounds | goal | |\n|---|---:|---|---:|---|\n" + "".join(_rows(result["figures"]))


def _rows(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, one in figures.items():
        spread = f"{short(min(one['values']))} to {short(max(one['values']))}"
        yield f"| `{name}` | {short(one['median'])} | {spread} | {_goal(one)} |\n"


def _goal(one: Mapping[str, Any]) -> str:
    """Return the two cells of the goal: its value, and whether it is met."""
    if one["goal"] is None:
        return " | " if one["better"] != "neither" else "| reference"
    return f"{_goal_of(one)} | {'met' if is_met(one) else '**missed**'}"


def _goal_of(one: Mapping[str, Any]) -> str:
    return "" if one["goal"] is None else f"{'≥' if one['better'] == 'more' else '≤'} {short(one['goal'])}"


if __name__ == "__main__":
    sys.exit(main())
