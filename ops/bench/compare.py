"""What got slower since the committed results: a benchmark's figures beside those of `ops/bench/results`.

A figure got worse if its median is worse by more than the tolerance and lies outside the spread of both runs. A ratio
to a reference of the same run counts; absolute figures depend on the machine and are told as a hint only, as is
everything where the two were measured with other options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOLERANCE: Final = 0.2
"""Shared machines differ by so much from hour to hour (measured: one benchmark, run again and again)."""

RATIO: Final = "ratio"
"""What the names of figures carry that compare with a reference of the same run."""


class Change(NamedTuple):
    """One figure that is worse or better than it was."""

    bench: str
    figure: str
    was: float
    now: float
    worse: bool
    counts: bool
    """Whether it holds on any machine."""

    def line(self) -> str:
        """Return it in words."""
        what = "WORSE " if self.worse and self.counts else "worse?" if self.worse else "better"
        return f"{what} {self.bench} {self.figure}: {self.was:,.4g} before, {self.now:,.4g} now"


def changes(before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float = TOLERANCE) -> Iterator[Change]:
    """Yield what differs between two results of one benchmark, each as `report` writes it."""
    for name, new in now["figures"].items():
        old = before["figures"].get(name)
        if old is None or new["better"] == "neither":
            continue
        more_is_better = new["better"] == "more"
        counts = RATIO in name and before["about"] == now["about"]
        if _above(new, old, tolerance):
            yield Change(now["bench"], name, old["median"], new["median"], worse=not more_is_better, counts=counts)
        elif _above(old, new, tolerance):
            yield Change(now["bench"], name, old["median"], new["median"], worse=more_is_better, counts=counts)


def missed(now: Mapping[str, Any]) -> list[str]:
    """Return the names of the figures that do not reach their goal."""
    return [name for name, one in now["figures"].items() if one["goal"] is not None and not _met(one)]


def _met(one: Mapping[str, Any]) -> bool:
    reached: bool = one["median"] >= one["goal"] if one["better"] == "more" else one["median"] <= one["goal"]
    return reached


def _above(one: Mapping[str, Any], other: Mapping[str, Any], tolerance: float) -> bool:
    """Whether one lies clearly above the other: by the tolerance, and all its rounds above all of the other's."""
    beyond: bool = one["median"] > other["median"] + tolerance * abs(other["median"])
    return beyond and min(one["values"]) > max(other["values"])
