"""Compares Courier with the vectors recorded from the stock Integrator, family by family.

    python -m tests.conformance.harness DIR

A family is one module in this package and one file `FAMILY.jsonl` in DIR. A case is *same*, or a *deviation*
that somebody named, or *different*: the last makes the run fail.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Case = dict[str, Any]

FAMILIES = ("sregex", "config", "filters", "alert_text", "deliveries", "tail")


@dataclass(frozen=True)
class Deviation:
    """One entry of the table: where case and our result differ for this reason, and only then, `holds`.

    `id` is the deviation's name in ops/docs/compatibility.md. `holds(case, ours)` is exact: it checks the cause in
    the case *and* what Courier does instead in `ours`.
    """

    id: str
    holds: Callable[[Case, Any], bool]


class Family(Protocol):
    """What a family module offers."""

    DEVIATIONS: tuple[Deviation, ...]

    def ours(self, case: Case) -> Any:
        """Return what Courier's public code makes of the case."""

    def same(self, case: Case, ours: Any) -> bool:
        """Say whether that is what was recorded."""


@dataclass
class Tally:
    """The counts of one family: cases that are the same, deviations by id, and texts of the different ones."""

    same: int = 0
    deviations: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)

    def line(self, family: str) -> str:
        """Return the one line that the run prints for the family."""
        deviations = self.deviations.total()
        total = self.same + deviations + len(self.different)
        return f"{family}: {total} cases, {self.same} same, {deviations} deviations, {len(self.different)} different"


def family_module(name: str) -> Family:
    """Import the module of a family."""
    module: Any = importlib.import_module(f"tests.conformance.{name}")
    return module  # type: ignore[no-any-return]  # a module stands for the protocol


def cases(file: Path) -> Iterator[Case]:
    """Yield the records of a vector file."""
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def judge(family: Family, case: Case, tally: Tally) -> None:
    """Run one case and count it."""
    ours = family.ours(case)
    if family.same(case, ours):
        tally.same += 1
        return
    named = next((d.id for d in family.DEVIATIONS if d.holds(case, ours)), None)
    if named is None:
        tally.different.append(f"{case['id']}: ours {ours!r:.600}")
    else:
        tally.deviations[named] += 1


def run(name: str, file: Path) -> Tally:
    """Run every case of one family's file."""
    family, tally = family_module(name), Tally()
    for case in cases(file):
        judge(family, case, tally)
    return tally


def main(directory: Path) -> int:
    """Run every family that DIR has a file for; print its line and what differs. Return the exit status."""
    failed = False
    for name in FAMILIES:
        file = directory / f"{name}.jsonl"
        if not file.is_file():
            continue
        tally = run(name, file)
        print(tally.line(name))
        for text in tally.different[:20]:
            print(f"  different {text}")
        failed = failed or bool(tally.different)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
