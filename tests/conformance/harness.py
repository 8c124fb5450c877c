"""Compares Courier with the vectors recorded from the stock Integrator, family by family.

    python -m tests.conformance.harness [DIR]

A family is one module in this package and one file `FAMILY.jsonl` in DIR. A case is *same*, or a *deviation*
that the table in `deviations` explains, or *different*: the last makes the run fail. Without DIR, the project's own
small sample is compared.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.conformance.case import cases
from tests.conformance.deviations import DEVIATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.case import Case

FAMILIES = ("sregex", "config", "filters", "alert_text", "deliveries", "tail")
SAMPLE = Path(__file__).with_name("sample")
SHOWN = 20
"""Different cases that a run prints of one family."""


class Family(Protocol):
    """The interface of a family module."""

    def ours(self, case: Case) -> Any:
        """Return the result of Courier's public code for the case."""

    def same(self, case: Case, ours: Any) -> bool:
        """Return whether the result equals the recording."""


@dataclass
class Tally:
    """The counts of one family: cases that are the same, deviations by id, and texts of the different ones."""

    same: int = 0
    deviations: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.same + self.deviations.total() + len(self.different)

    def line(self, family: str) -> str:
        """Return the one line that the run prints for the family."""
        counts = f"{self.same} same, {self.deviations.total()} deviations, {len(self.different)} different"
        return f"{family}: {self.total} cases, {counts}"


def family_module(name: str) -> Family:
    """Import the module of a family."""
    module: Any = importlib.import_module(f"tests.conformance.{name}")
    return module  # type: ignore[no-any-return]  # a module stands for the protocol


def judge(name: str, case: Case, tally: Tally) -> None:
    """Run one case and count it. If Courier's code raises, the case is different."""
    family = family_module(name)
    try:
        ours = family.ours(case)
        is_same = family.same(case, ours)
    except Exception as error:  # noqa: BLE001 — one case must not end the run, whatever is in it
        tally.different.append(f"{case.get('id')}: {type(error).__name__}: {error}")
        return
    if is_same:
        tally.same += 1
        return
    named = next((one.id for one in DEVIATIONS if one.explains(name, case, ours)), None)
    if named is None:
        tally.different.append(f"{case['id']}: ours {ours!r:.600}")
    else:
        tally.deviations[named] += 1


def run(name: str, file: Path) -> Tally:
    """Run every case of one family's file."""
    tally = Tally()
    for case in cases(file):
        judge(name, case, tally)
    return tally


def run_all(directory: Path) -> dict[str, Tally]:
    """Run every family that the directory has a file for."""
    there = [name for name in FAMILIES if (directory / f"{name}.jsonl").is_file()]
    logging.disable(logging.WARNING)  # what is wrong with the recorded files is meant to be
    try:
        return {name: run(name, directory / f"{name}.jsonl") for name in there}
    finally:
        logging.disable(logging.NOTSET)


def main(arguments: Sequence[str]) -> int:
    """Print each family's line and its differences. Return the exit status: 1 with differences, 2 without vectors."""
    directory = Path(arguments[0]) if arguments else SAMPLE
    if not directory.is_dir():
        print(f"there is no folder {directory}: running the project's own sample instead of the recorded vectors")
        directory = SAMPLE
    tallies = run_all(directory)
    if not tallies:
        print(f"{directory} has no vectors: none of {', '.join(f'{name}.jsonl' for name in FAMILIES)}")
        return 2
    for name, tally in tallies.items():
        print(tally.line(name))
        for text in tally.different[:SHOWN]:
            print(f"  different {text}")
    return int(any(tally.different for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
