"""The whole path, compared with the stock loop: alert log → producer → ledger → Celery → worker → target.

    python -m ops.bench.delivery [--alerts 6000] [--latency-ms 0 50 200] [--workers 4] [--rounds 5]

Reports deliveries a second, from the append to the last request, of Courier and of its references, measured in turns:
`ops.bench.stock_loop` (the stock loop), `ops.bench.raw_http` (one session of `requests`) and `ops.bench.celery_noop`;
and the CPU that one delivery costs by part. Everything runs on the same cores, the target too. Warm-up
alerts, which do not count, open connections and load code first.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final, Literal

from ops.bench import celery_noop, raw_http, stock_loop
from ops.bench.alerts import alerts
from ops.bench.memory import peak_kib
from ops.bench.report import Figure, report
from ops.bench.system import running, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.bench.system import System

RATIO_GOALS: Final = {0.0: 200.0, 50.0: 300.0, 200.0: 500.0}
"""Target latency in ms → the goal, in multiples of the stock loop's rate, on two cores."""

CPU_GOAL_MS: Final = 0.6
"""CPU of workers and producer for one delivery."""

MEMORY_GOAL_MIB: Final = 150.0
"""Memory of the largest worker at full load."""

SERIAL_ALERTS: Final = 10
WARM_UP: Final = 2000
"""Alerts that do not count, several hundred for each worker."""


def ours(count: int, latency_ms: float, workers: int) -> dict[str, float]:
    """Run Courier once. Return deliveries a second, CPU in ms a delivery by part, and the memory of a worker."""
    with running(latency_ms=latency_ms, workers=workers) as system:
        system.append(alerts(WARM_UP))
        wait_for(system, WARM_UP)
        lines = b"".join(alerts(count, first=WARM_UP))
        before, start_s = system.cpu(), time.time()
        system.append([lines])
        wait_for(system, WARM_UP + count)
        spent = {part: 1000 * (after - before[part]) / count for part, after in system.cpu().items()}
        arrived = system.target.counts()
        peak_mib = max(peak_kib(worker.pid) for worker in system.workers) / 1024
    return {
        "per_s": count / (arrived["last_s"] - start_s),
        "cpu_ms": spent["workers"] + spent["producer"],
        **{f"{part}_cpu_ms": value for part, value in spent.items()},
        "worker_mib": peak_mib,
        "repeated": arrived["requests"] - arrived["distinct"],
    }


def wait_for(system: System, count: int) -> None:
    """Wait until `count` requests have arrived and all are settled."""
    wait_until(lambda: system.target.counts()["requests"] >= count, "not everything arrived")
    wait_until(lambda: not system.redis.hlen("courier:{slack}:records"), "not everything was settled")


def one_round(latency_ms: float, count: int, workers: int) -> dict[str, float]:
    """Measure the references and Courier, one after the other."""
    serial_per_s = stock_loop.measure(SERIAL_ALERTS, latency_ms)
    session = raw_http.measure(latency_ms)
    found = ours(count, latency_ms, workers)
    return {
        "ratio_to_serial": found["per_s"] / serial_per_s,
        **found,
        "serial_per_s": serial_per_s,
        "requests_per_s": session.per_s,
        "requests_cpu_ms": session.cpu_ms,
    }


def figures(latency_ms: float, rounds: Sequence[dict[str, float]]) -> list[Figure]:
    """Return the figures for one latency of the target; their names end with the latency."""
    goals = {"ratio_to_serial": RATIO_GOALS.get(latency_ms), "cpu_ms": CPU_GOAL_MS, "worker_mib": MEMORY_GOAL_MIB}
    return [
        Figure(f"{name}_at_{latency_ms:g}_ms", tuple(one[name] for one in rounds), _better(name), goals.get(name))
        for name in rounds[0]
    ]


def _better(name: str) -> Literal["more", "less", "neither"]:
    if name.startswith(("serial", "requests")):
        return "neither"
    return "more" if name in {"per_s", "ratio_to_serial"} else "less"


def main() -> int:
    """Measure in turns and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=6000)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=list(RATIO_GOALS))
    parser.add_argument("--workers", type=int, default=4, help="HTTP worker processes")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    found: dict[float, list[dict[str, float]]] = {latency_ms: [] for latency_ms in chosen.latency_ms}
    tasks = []
    for _ in range(chosen.rounds):
        tasks.append(celery_noop.measure(celery_noop.TASKS))
        for latency_ms, rounds in found.items():
            rounds.append(one_round(latency_ms, chosen.alerts, chosen.workers))
    reported = [one for latency_ms, rounds in found.items() for one in figures(latency_ms, rounds)]
    reported.append(Figure("celery_noop_per_s", tuple(tasks)))
    about = f"{chosen.alerts} alerts, {chosen.workers} HTTP worker processes, {chosen.rounds} rounds"
    return report("delivery", reported, about=about)


if __name__ == "__main__":
    sys.exit(main())
