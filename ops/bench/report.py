"""Reports a benchmark's results: a table with spread and goal, one line of JSON, and a file for comparison.

The file is `artifacts/bench/NAME.json`, or in the folder BENCH_OUT; `python -m ops.bench` compares it with the
committed one in `ops/bench/results/`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

OUT: Final = Path(os.environ.get("BENCH_OUT", "artifacts/bench"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: a value for each round; the median counts."""

    name: str
    """The name with its unit, for example `delivery_per_s` or `p99_ms`."""

    values: tuple[float, ...]
    better: Literal["more", "less", "neither"] = "neither"
    """`neither` is for references and for figures that only explain others."""

    goal: float | None = None
    """The minimum (`more`) or maximum (`less`) of the median."""

    @property
    def median(self) -> float:
        """The median of all rounds."""
        return median(self.values)

    @property
    def met(self) -> bool:
        """Whether the median reaches the goal; True without a goal."""
        if self.goal is None:
            return True
        return self.median >= self.goal if self.better == "more" else self.median <= self.goal

    def line(self) -> str:
        """Return this figure's row of the table."""
        goal = "" if self.goal is None else f"  {'>=' if self.better == 'more' else '<='} {self.goal:g}"
        verdict = "" if self.goal is None else "  met" if self.met else "  MISSED"
        spread = f"{short(min(self.values))} to {short(max(self.values))}"
        return f"{self.name:34} {short(self.median):>10}   {spread:22}{goal}{verdict}".rstrip()


def report(bench: str, figures: list[Figure], *, about: str = "") -> int:
    """Print and store the results. Return the command's exit status: 0, or 1 if a goal is missed.

    `about` describes the options, for example "4 workers, 5 rounds".
    """
    print(f"{bench}: {about}" if about else bench)
    print(f"{'':34} {'median':>10}   spread")
    for figure in figures:
        print(figure.line())
    found = {
        "bench": bench,
        "about": about,
        "load": round(os.getloadavg()[0], 1),
        "figures": {
            one.name: {
                "median": _rounded(one.median),
                "values": [_rounded(value) for value in one.values],
                "better": one.better,
                "goal": one.goal,
            }
            for one in figures
        },
    }
    print(json.dumps(found), flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{bench}.json").write_text(json.dumps(found, indent=1) + "\n")
    return int(not all(one.met for one in figures))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def short(value: float) -> str:
    """Return a number with thousands separators, or with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
