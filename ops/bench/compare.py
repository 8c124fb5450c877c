"""What got slower since the results that are kept in the repository.

A median counts as changed only if it moved by more than TOLERANCE and if each of the two lies outside what the rounds
of the other spread over. Of ratios that is firm, since both their sides ran at the same time on the same machine. An
absolute figure depends on the machine and on what else it did: it is a hint, and so is every figure measured with
other options than the kept one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOLERANCE: Final = 0.20
"""Two runs of the same code on two shared cores differ by up to this much."""


class Measured(msgspec.Struct, frozen=True):
    """One figure of a result; the fields are those of `report.Figure`."""

    median: float
    values: tuple[float, ...]
    better: Literal["more", "less", "neither"]
    goal: float | None


class Result(msgspec.Struct, frozen=True):
    """What `report` kept of one benchmark."""

    bench: str
    about: str
    load: float
    figures: dict[str, Measured]


class Verdict(StrEnum):
    """What became of a figure."""

    WORSE = "WORSE"
    SLOWER = "slower?"
    """A hint: worse, but not certain to be Courier's doing."""

    BETTER = "better"


class Change(msgspec.Struct, frozen=True):
    """A figure that is not what it was."""

    bench: str
    figure: str
    old: float
    new: float
    verdict: Verdict

    def line(self) -> str:
        """Return it as a line to read."""
        percent = f" ({100 * (self.new - self.old) / self.old:+.0f} %)" if self.old else ""
        return f"{self.verdict:8} {self.bench} {self.figure}: {self.old:g} -> {self.new:g}{percent}"


def read_results(folder: Path) -> dict[str, Result]:
    """Return every result in the folder by its benchmark's name. Raises ValueError for a file that is none."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            result = msgspec.json.decode(path.read_bytes(), type=Result)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} is not what a benchmark wrote: {error}; delete it or measure anew") from None
        found[result.bench] = result
    return found


def changes(old: Result, new: Result) -> Iterator[Change]:
    """Yield what got clearly worse or better, in the order of the figures."""
    for name, now in new.figures.items():
        before = old.figures.get(name)
        if before is None or now.better == "neither" or not _moved(before, now):
            continue
        if (now.median > before.median) == (now.better == "more"):
            verdict = Verdict.BETTER
        else:
            verdict = Verdict.WORSE if "ratio" in name and old.about == new.about else Verdict.SLOWER
        yield Change(old.bench, name, before.median, now.median, verdict)


def missed(result: Result) -> list[str]:
    """Return a line for each goal that the result does not reach."""
    return [
        f"MISSED   {result.bench} {name}: {one.median:g}, goal {'>=' if one.better == 'more' else '<='} {one.goal:g}"
        for name, one in result.figures.items()
        if one.goal is not None and (one.median < one.goal if one.better == "more" else one.median > one.goal)
    ]


def _moved(before: Measured, now: Measured) -> bool:
    far = abs(now.median - before.median) > TOLERANCE * abs(before.median)
    return far and not _within(now.median, before.values) and not _within(before.median, now.values)


def _within(value: float, values: tuple[float, ...]) -> bool:
    return min(values) <= value <= max(values)
