"""The producer by itself: what it costs while nothing happens, and how soon an alert is committed.

    python -m ops.bench.commit [--idle-s 30] [--alerts 200]

Prints the CPU of an idle producer in percent of a core, and the time from an alert's newline to its commit in Redis.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from ops.bench.delivery import System, alerts, cpu_s

PAUSE_S = 0.05


def idle_percent(system: System, idle_s: float) -> float:
    """Return what the producer spends while nothing is written, in percent of a core."""
    before = cpu_s(system.producer.pid)
    time.sleep(idle_s)
    return 100 * (cpu_s(system.producer.pid) - before) / idle_s


def commit_ms(system: System, count: int) -> list[float]:
    """Return how long each of `count` alerts took from its newline to its commit, sorted."""
    times = []
    for number, line in enumerate(alerts(count), start=1):
        with system.alerts.open("ab") as log:
            log.write(line)
        start = time.perf_counter()
        while int(system.redis.hget("courier:{slack}:totals", "committed") or 0) < number:
            pass
        times.append(1000 * (time.perf_counter() - start))
        time.sleep(PAUSE_S)
    return sorted(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle-s", type=float, default=30.0)
    parser.add_argument("--alerts", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        system = System(stack, Path(folder), latency_ms=0, workers=0)
        idle = idle_percent(system, chosen.idle_s)
        times = commit_ms(system, chosen.alerts)
        system.redis.close()
    figures = {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100], "max": times[-1]}
    print(json.dumps({"idle_percent": round(idle, 2), "commit_ms": {k: round(v, 1) for k, v in figures.items()}}))


if __name__ == "__main__":
    main()
