"""Runs every benchmark one after the other, then says what got slower since the results kept in the repository.

    python -m ops.bench [--quick] [--save] [NAME ...]

Exits with 1 if a goal was missed, a ratio got clearly worse or a benchmark did not finish. `--quick` takes some ten
minutes in all: fewer rounds and smaller cases, with which the kept figures can only be compared as a hint, so that
`--save`, which keeps what was measured, refuses it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.bench import report
from ops.bench.compare import Verdict, changes, missed, read_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.bench.compare import Result

RESULTS: Final = Path(__file__).with_name("results")

BENCHES: Final = {
    "delivery": "--alerts 4000 --serial-alerts 8 --latency-ms 0 50 --rounds 2",
    "isolation": "--flood 2000 --seconds 4 --rounds 1",
    "latency": "--seconds 8 --rounds 2",
    "backlog": "--large 100000 --rounds 3",
    "footprint": "--alerts 10000",
    "memory": "--gib 1",
    "commit": "--idle-s 5 --alerts 100",
}
"""Module → what makes it quick."""


def run(name: str, options: Sequence[str], out: Path) -> bool:
    """Run one benchmark, its results into `out`. Return whether it told any, whatever they are."""
    print(f"\n== {name}", flush=True)
    before = set(out.glob("*.json"))
    command = [sys.executable, "-m", f"ops.bench.{name}", *options]
    status = subprocess.run(command, env=os.environ | {"BENCH_OUT": str(out)}, check=False).returncode
    return status in (0, 1) and set(out.glob("*.json")) != before


def judge(kept: dict[str, Result], found: dict[str, Result]) -> tuple[list[str], bool]:
    """Return what is to be said of the results, and whether all is well."""
    changed = [change for name, new in found.items() if name in kept for change in changes(kept[name], new)]
    goals = [line for result in found.values() for line in missed(result)]
    new = [f"new      {name}: nothing is kept yet to compare it with" for name in found.keys() - kept.keys()]
    return (
        [*goals, *(change.line() for change in changed), *sorted(new)],
        not goals and all(change.verdict is not Verdict.WORSE for change in changed),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, compare and print. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, unless named: {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="some ten minutes in all")
    parser.add_argument("--save", action="store_true", help="keep the results, to be committed")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - BENCHES.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    if chosen.quick and chosen.save:
        parser.error("what is measured quickly is not kept: leave out --quick or --save")
    names = chosen.names or list(BENCHES)
    out = report.OUT.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    unfinished = [name for name in names if not run(name, BENCHES[name].split() if chosen.quick else (), out)]
    found = read_results(out)
    lines, well = judge(read_results(RESULTS), found)
    print("\n== compared with the results kept in ops/bench/results")
    print("\n".join([*lines, *(f"FAILED   {name} did not finish" for name in unfinished)]) or "nothing changed")
    if chosen.save:
        _keep(found, out)
    return int(bool(unfinished) or not well)


def _keep(found: dict[str, Result], out: Path) -> None:
    RESULTS.mkdir(exist_ok=True)
    for name in found:
        shutil.copyfile(out / f"{name}.json", RESULTS / f"{name}.json")
    print(f"kept in ops/bench/results: {', '.join(found)}")


if __name__ == "__main__":
    sys.exit(main())
