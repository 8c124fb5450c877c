"""How long an alert takes from its newline in the log to the request at the target, at a steady rate.

    python -m ops.bench.latency [--per-s 200] [--seconds 15] [--workers 1] [--rounds 5]

Each alert is written separately with its time; the target reports when it arrived. The medians of the rounds are
printed. The reference is what one alert takes in the stock loop (`ops.bench.stock_loop`) when it is alone and noticed
at once; at this rate that loop would fall further behind with every alert.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from ops.bench import stock_loop
from ops.bench.alerts import alert_id, alerts
from ops.bench.report import Figure, report
from ops.bench.system import percentile, running, wait_until

if TYPE_CHECKING:
    from ops.bench.system import System

GOALS_MS: Final = {"p50_ms": 40.0, "p99_ms": 120.0}
"""Alerts are gathered for up to `producer.commit_delay`, 50 ms, and committed together (decision 12)."""
SERIAL_ALERTS: Final = 4
WARM_UP: Final = 50
"""Alerts that do not count: they open connections and load code."""


def latencies_ms(system: System, count: int, per_s: float, *, first: int = 0, group: str = "sshd") -> list[float]:
    """Write `count` alerts, numbered from `first`, at `per_s`. Return the latency of each in ms."""
    written_s = system.append_steadily(list(alerts(count, group, first=first)), per_s=per_s)
    ids = [alert_id(n) for n in range(first, first + count)]
    wait_until(lambda: set(ids) <= system.target.times().keys(), "not everything arrived")
    arrived_s = system.target.times()
    return [1000 * (arrived_s[name] - at_s) for name, at_s in zip(ids, written_s, strict=True)]


def measure(per_s: float, seconds: float, workers: int) -> dict[str, float]:
    """Run the reference and Courier once. Return times in ms and the ratio of Courier's median to the reference."""
    serial_ms = 1000 / stock_loop.measure(SERIAL_ALERTS, 0.0)
    with running(workers=workers) as system:
        latencies_ms(system, WARM_UP, per_s)
        time.sleep(1.0)
        found = latencies_ms(system, round(per_s * seconds), per_s, first=WARM_UP)
    p50_ms = median(found)
    return {
        "p50_ms": p50_ms,
        "p99_ms": percentile(found, 99),
        "worst_ms": max(found),
        "serial_ms": serial_ms,
        "ratio_to_serial": p50_ms / serial_ms,
    }


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--per-s", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    rounds = [measure(chosen.per_s, chosen.seconds, chosen.workers) for _ in range(chosen.rounds)]
    figures = [
        Figure(
            name,
            tuple(one[name] for one in rounds),
            "neither" if name == "serial_ms" else "less",
            GOALS_MS.get(name),
        )
        for name in rounds[0]
    ]
    return report("latency", figures, about=f"{chosen.per_s:g} alerts/s, {chosen.rounds} rounds")


if __name__ == "__main__":
    sys.exit(main())
