"""Compares a benchmark's figures with the committed ones in `ops/bench/results`.

A figure got worse if its median is worse by more than the tolerance and lies outside the spread of both runs. Only a
ratio to a reference of the same run counts; absolute figures depend on the machine and are only hints, as are all
figures if the two runs had different options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOLERANCE: Final = 0.2
"""The variation of a shared machine from hour to hour (measured: one benchmark, run repeatedly)."""

RATIO: Final = "ratio"
"""Part of the names of figures that are relative to a reference of the same run."""


class Change(NamedTuple):
    """One figure that got clearly worse or better."""

    bench: str
    figure: str
    was: float
    now: float
    worse: bool
    counts: bool
    """Whether it is independent of the machine; otherwise it is only a hint."""

    def line(self) -> str:
        """Return the change as one line of the report."""
        what = "WORSE " if self.worse and self.counts else "worse?" if self.worse else "better"
        return f"{what} {self.bench} {self.figure}: {self.was:,.4g} before, {self.now:,.4g} now"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the clear differences between two results of one benchmark, in the form that `report` writes."""
    for name, new in now["figures"].items():
        old = before["figures"].get(name)
        if old is None or new["better"] == "neither":
            continue
        rose, fell = _above(new, old), _above(old, new)
        if rose or fell:
            worse = fell if new["better"] == "more" else rose
            counts = RATIO in name and before["about"] == now["about"]
            yield Change(now["bench"], name, old["median"], new["median"], worse=worse, counts=counts)


def missed(now: Mapping[str, Any]) -> list[str]:
    """Return the names of the figures that miss their goal."""
    return [name for name, one in now["figures"].items() if one["goal"] is not None and not is_met(one)]


def is_met(one: Mapping[str, Any]) -> bool:
    """Return whether a figure with a goal meets it."""
    reached: bool = one["median"] >= one["goal"] if one["better"] == "more" else one["median"] <= one["goal"]
    return reached


def _above(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether `one` is above `other` by TOLERANCE, and all its rounds above all of the other's."""
    beyond: bool = one["median"] > other["median"] + TOLERANCE * abs(other["median"])
    return beyond and min(one["values"]) > max(other["values"])
