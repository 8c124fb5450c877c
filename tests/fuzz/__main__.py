"""Fuzz each function of doors.py in turn: `python -m tests.fuzz --minutes 10 [DOOR ...]`. Prints the cases of each.

A finding ends its door's run. Its input is written into the committed corpus, whose test fails until it is mended.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.doors import DOORS

KEPT: Final = Path("build/fuzz")
"""The corpus that grows from run to run."""


def main() -> int:
    """Return 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("doors", nargs="*", metavar="DOOR", help=", ".join(DOORS))
    parser.add_argument("--minutes", type=float, default=10, help="for all doors together")
    given = parser.parse_args()
    doors = given.doors or list(DOORS)
    runs = {door: _run(door, max(1, round(given.minutes * 60 / len(doors)))) for door in doors}
    found = [door for door, (_, is_well) in runs.items() if not is_well]
    print(f"{sum(cases for cases, _ in runs.values()):,} cases, findings: {', '.join(found) or 'none'}")
    return int(bool(found))


def _run(door: str, seconds: int) -> tuple[int, bool]:
    kept = KEPT / door
    kept.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one", door, str(seconds), str(kept)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    stated = re.search(r"number_of_executed_units:\s*(\d+)", run.stderr)
    cases, is_well = int(stated[1]) if stated else 0, run.returncode == 0
    print(f"{door:14} {cases:>12,} cases  {'ok' if is_well else 'FINDING' + chr(10) + run.stderr[-4000:]}", flush=True)
    return cases, is_well


if __name__ == "__main__":
    sys.exit(main())
