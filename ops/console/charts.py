"""Draws the latency of an integration as SVG. Its numbers are in a table beside it, for those who do not see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from ops.admin.terminal import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.admin.latency_history import LatencyStep

WIDTH: Final = 480
HEIGHT: Final = 100
TOP: Final = 4
"""Room for the width of a line."""


def latency_chart(steps: Sequence[LatencyStep]) -> Markup:
    """Return a drawing of p50 and p99, which is 0 at the bottom and the highest p99 at the top.

    A step without deliveries interrupts the lines; one between two of these is a dot.
    """
    highest = max((one.latency_p99_s or 0.0 for one in steps), default=0.0) or 1.0
    lines = Markup("").join(
        Markup('<polyline class="{}" points="{}"/>').format(name, points)
        for name, values in (
            ("p99", [one.latency_p99_s for one in steps]),
            ("p50", [one.latency_p50_s for one in steps]),
        )
        for points in _lines(values, highest)
    )
    label = f"Latency by time: p50 and p99 of {len(steps)} steps, at most {age(highest)}"
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, label, lines)


def _lines(values: Sequence[float | None], highest: float) -> list[str]:
    """Return the points of each part of a line that has no gap."""
    width = WIDTH / max(1, len(values))
    parts: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            parts.append([])
            continue
        y = f"{HEIGHT - value / highest * (HEIGHT - TOP):.1f}"
        parts[-1] += [f"{(number + 0.1) * width:.1f},{y}", f"{(number + 0.9) * width:.1f},{y}"]
    return [" ".join(part) for part in parts if part]
