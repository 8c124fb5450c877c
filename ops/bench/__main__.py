"""Run the benchmarks one after another, and report what got slower since the committed results.

    python -m ops.bench [--quick | --save] [NAME ...]

Exits with 1 if a goal was missed, a benchmark failed, or a ratio got clearly worse. `--save` stores the results in
`ops/bench/results`, from which `ops/docs/performance.md` is rendered. `--quick` takes about ten minutes in total, with
fewer rounds of smaller cases: its differences from the committed results are only hints.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.bench.compare import changes, missed
from ops.bench.report import OUT
from ops.module_runner import module_command

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS: Final = Path(__file__).with_name("results")
ALL: Final = {
    "delivery": "--alerts 4000 --latency-ms 0 50 --rounds 2",
    "latency": "--seconds 8 --rounds 2",
    "steady": "--rates 50 200 flood --seconds 5 --flood 3000 --rounds 1",
    "services": "--alerts 500 --rounds 2",
    "isolation": "--flood 2000 --seconds 4 --rounds 1",
    "scanning": "--alerts 50000 --rounds 3",
    "commit_rate": "--rounds 2",
    "folding": "--rounds 2 --memory-alerts 100000",
    "commit": "--idle-s 5 --alerts 100",
    "scripts": "--alerts 40 --rounds 2",
    "memory": "--gib 1",
    "backlog": "--large 100000 --rounds 3",
    "footprint": "--alerts 10000",
    "open_pages": "--seconds 10 --rounds 2",
}
"""The benchmarks in the order of a run, each with its options for `--quick`."""

LONG: Final = {
    "growth": "--gigabytes 1 --alerts 4000 --rounds 2",
    "soak": "--minutes 2",
}
"""Benchmarks that run only if named: they take half an hour, or 10 GB of disk."""


def run(name: str, options: Sequence[str] = ()) -> dict[str, Any] | None:
    """Run one benchmark, which writes to our output. Return its results, or None if it failed before reporting."""
    out = OUT / f"{name}.json"
    out.unlink(missing_ok=True)
    print(f"\n== {name}", flush=True)
    subprocess.run(module_command(f"ops.bench.{name}", *options), check=False)
    if not out.exists():
        return None
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def judge(name: str, found: dict[str, Any] | None) -> tuple[list[str], bool]:
    """Return the lines of the comparison, and whether nothing failed, missed a goal or got worse."""
    if found is None:
        return [f"FAILED {name}: it reported nothing"], False
    missed_figures = missed(found)
    lines = [f"MISSED {name} {figure}" for figure in missed_figures]
    committed = RESULTS / f"{name}.json"
    if not committed.exists():
        return [*lines, f"new    {name}: no committed results to compare with"], not missed_figures
    found_changes = list(changes(json.loads(committed.read_text()), found))
    lines += [one.line() for one in found_changes]
    return lines or [f"same   {name}"], not missed_figures and not any(
        one.worse and one.counts for one in found_changes
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks, print the comparison and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ALL)}; only if named: {', '.join(LONG)}")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="about ten minutes in total")
    how.add_argument("--save", action="store_true", help="store the results as the committed ones")
    chosen = parser.parse_args(arguments)
    known = ALL | LONG
    if unknown := set(chosen.names) - set(known):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    summary: list[str] = []
    well = True
    for name in chosen.names or ALL:
        found = run(name, known[name].split() if chosen.quick else ())
        lines, good = judge(name, found)
        summary += lines
        well = well and good
        if chosen.save and found is not None:
            RESULTS.mkdir(exist_ok=True)
            shutil.copy(OUT / f"{name}.json", RESULTS)
    print("\n== compared with the committed results", *summary, sep="\n")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
