"""The producer alone: its CPU while idle, and how fast it commits an alert.

    python -m ops.bench.commit [--idle-s 6] [--alerts 200] [--rounds 5]

Reports the CPU of an idle producer in percent of a core, and the time from an alert's newline to its commit in Redis.
The reference is the round trip of an empty command to the same server, the least that a commit can take.
`ops.bench.commit_rate` measures the rate of commits.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import cpu_s, percentile, running

if TYPE_CHECKING:
    from ops.bench.system import System

PAUSE_S = 0.05


def idle_percent(system: System, idle_s: float) -> float:
    """Return the CPU of the producer while no alert is written, in percent of a core."""
    before = cpu_s(system.producer.pid)
    time.sleep(idle_s)
    return 100 * (cpu_s(system.producer.pid) - before) / idle_s


def commit_ms(system: System, count: int, first: int) -> list[float]:
    """Return how long each of `count` alerts took from its newline to its commit; `first` were committed before."""
    times = []
    for number, line in enumerate(alerts(count, first=first), start=first + 1):
        system.append([line])
        start = time.perf_counter()
        while system.total("slack", "committed") < number:
            pass
        times.append(1000 * (time.perf_counter() - start))
        time.sleep(PAUSE_S)
    return times


def ping_ms(system: System, count: int) -> list[float]:
    """Return how long each of `count` empty commands took."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        system.redis.ping()
        times.append(1000 * (time.perf_counter() - start))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle-s", type=float, default=6.0)
    parser.add_argument("--alerts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    idle, pings, times = [], [], []
    with running(workers=0) as system:
        for number in range(chosen.rounds):
            idle.append(idle_percent(system, chosen.idle_s))
            pings.append(ping_ms(system, chosen.alerts))
            times.append(commit_ms(system, chosen.alerts, number * chosen.alerts))
    p50s, pings_ms = tuple(map(median, times)), tuple(map(median, pings))
    figures = [
        Figure("idle_percent", tuple(idle), "less"),
        Figure("p50_ms", p50s, "less"),
        Figure("p99_ms", tuple(percentile(one, 99) for one in times), "less"),
        Figure("max_ms", tuple(max(one) for one in times)),
        Figure("ping_ms", pings_ms),
        Figure("ratio_to_ping", tuple(one / ping for one, ping in zip(p50s, pings_ms, strict=True)), "less"),
    ]
    sys.exit(report("commit", figures, about=f"{chosen.alerts} alerts one by one, {chosen.rounds} rounds"))


if __name__ == "__main__":
    main()
