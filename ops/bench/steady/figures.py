"""The figures of the steady benchmark, their goals, and their ratios to the base and to syslog-ng."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ops.bench.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Found = dict[str, dict[str, list[dict[str, float]]]]
"""Regime or part → system (`current`, `base`, `syslog_ng`) → figures of each round."""

GOALS: Final = {
    "200_per_s_p50_ms": 40.0,
    "200_per_s_p99_ms": 120.0,
    "lone_p50_ms": 10.0,
    "flower_percent": 5.0,
    "idle_percent": 1.5,
    "idle_mb": 300.0,
}
RATIO_GOALS: Final = {
    "50_per_s_cpu_ms": 0.35,
    "200_per_s_cpu_ms": 0.3,
    "500_per_s_cpu_ms": 0.45,
    "1000_per_s_cpu_ms": 0.6,
    "flood_cpu_ms": 0.6,
}
"""Most of what a delivery may cost, in parts of what it costs at the base."""

PART: Final = "_cpu_ms"
"""The end of the figures of one part; of the base only the sum is shown."""

PEER_RATIO_GOALS: Final = {"flood_cpu_ms": 4.0}
"""The same, in multiples of syslog-ng."""


def figures_of(found: Found) -> list[Figure]:
    """Return all figures: the current ones, those of the references, and the ratios of each round."""
    return [figure for part, systems in found.items() for figure in _of_part(part, systems)]


def _of_part(part: str, systems: dict[str, list[dict[str, float]]]) -> Iterator[Figure]:
    current, base, peer = (systems.get(name, []) for name in ("current", "base", "syslog_ng"))
    for figure in current[0]:
        name = f"{part}_{figure}"
        better: Literal["more", "less"] = "more" if figure == "per_s" else "less"
        ours = column(current, figure)
        yield Figure(name, ours, better, GOALS.get(name))
        if base:
            theirs = column(base, figure)
            if not figure.endswith(PART):
                yield Figure(f"{name}_base", theirs)
            if found := ratios(ours, theirs):
                yield Figure(f"{name}_ratio", found, better, RATIO_GOALS.get(name))
        if peer and figure in {"cpu_ms", "p50_ms"}:
            theirs = column(peer, figure)
            yield Figure(f"{name}_syslog_ng", theirs)
            if found := ratios(ours, theirs):
                yield Figure(f"{name}_ratio_to_syslog_ng", found, better, PEER_RATIO_GOALS.get(name))


def column(rounds: Sequence[dict[str, float]], figure: str) -> tuple[float, ...]:
    """Return one figure of all rounds."""
    return tuple(one[figure] for one in rounds)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of each round; without the rounds in which the reference is 0, below one tick of the clock."""
    return tuple(one / other for one, other in zip(ours, theirs, strict=True) if other)
