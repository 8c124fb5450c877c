"""What a delivery costs at a steady rate with more integrations, compared with a single one."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from ops.bench import flood
from ops.bench.regimes import Courier, Meter, regime
from ops.bench.report import Figure
from ops.bench.steady.figures import column, ratios
from ops.bench.system import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.bench.regimes import Regime

RATES: Final = ("50", "200", "500")
LARGEST_GROWTH: Final = 1.3
GROWTH_GOAL_FOR: Final = 100

TO_ALL: Final = "<group>all,</group>"


def config(count: int, *, to_all: bool) -> str:
    """Return an ossec.conf with `count` integrations: each for a group of its own, or all for the group `all`."""
    if not to_all:
        return flood.config(count)
    blocks = (flood.BLOCK.format(n=n).replace(f"<group>g{n},</group>", TO_ALL) for n in range(count))
    return f"<ossec_config>{''.join(blocks)}</ossec_config>\n"


def group(n: int, *, over: int) -> str:
    """Return the group of alert number n: that of one of `over` integrations in turn, or of all if `over` is 0."""
    return f"g{n % over}" if over else "all"


def measure(
    counts: Sequence[int], rates: Sequence[Regime], *, to_all: bool, seconds: float, rounds: int
) -> list[Figure]:
    """Measure in turns. Return the CPU of a delivery for each number of integrations, and its growth from the first.

    A rate is that of deliveries: an alert for 100 integrations counts as 100.
    """
    found: dict[tuple[str, int], list[dict[str, float]]] = {(how.label, count): [] for how in rates for count in counts}
    with ExitStack() as stack:
        meters = {
            count: Meter(
                Courier(stack.enter_context(running(config=config(count, to_all=to_all)))),
                group=partial(group, over=0 if to_all else count),
                deliveries_an_alert=count if to_all else 1,
            )
            for count in counts
        }
        for meter in meters.values():
            meter.measure(regime("flood"), seconds=1.0, flood=500)
        for _ in range(rounds):
            for how in rates:
                for count, meter in meters.items():
                    time.sleep(1.0)
                    found[how.label, count].append(meter.measure(how, seconds=seconds, flood=0))
    return [figure for how in rates for figure in figures(how.label, {n: found[how.label, n] for n in counts})]


def figures(label: str, found: dict[int, list[dict[str, float]]]) -> list[Figure]:
    """Return the figures at one rate; the first number of integrations is what the others are compared with."""
    costs = {count: column(rounds, "cpu_ms") for count, rounds in found.items()}
    first, *others = costs
    reported = [Figure(f"{label}_cpu_ms_{count}_integrations", values) for count, values in costs.items()]
    return reported + [
        Figure(
            f"{label}_ratio_{count}_to_{first}_integrations",
            ratios(costs[count], costs[first]),
            "less",
            LARGEST_GROWTH if count >= GROWTH_GOAL_FOR else None,
        )
        for count in others
    ]
