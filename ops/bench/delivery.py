"""The whole path, beside the stock loop: alerts appended to the log → producer → ledger → Celery → worker → target.

    python -m ops.bench.delivery [--alerts 10000] [--latency-ms 0 50 200] [--workers 4] [--rounds 3]

Prints deliveries a second, from the append to the last request, of Courier and of `ops.bench.serial`, measured in
turns; their ratio, and the CPU that one delivery costs by part. Everything runs on the same cores, the target too.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import Final

from ops.bench import serial
from ops.bench.alerts import alerts
from ops.bench.system import load, running, wait_until

RATIO_GOALS: Final = {0.0: 200, 50.0: 300, 200.0: 500}
"""Target latency in ms → how many times the stock loop's rate is to be reached on two cores."""

CPU_GOAL_MS: Final = 0.6
"""In workers plus producer."""


def measure(count: int, latency_ms: float, workers: int) -> dict[str, float]:
    """Run once. Return deliveries a second, and CPU in ms a delivery by part."""
    with running(latency_ms=latency_ms, workers=workers) as system:
        lines = b"".join(alerts(count))
        before, start_s = system.cpu(), time.time()
        system.append([lines])
        wait_until(lambda: system.target.counts()["requests"] >= count, "not everything arrived")
        wait_until(lambda: not system.redis.hlen("courier:{slack}:records"), "not everything was settled")
        spent = {part: 1000 * (after - before[part]) / count for part, after in system.cpu().items()}
        arrived = system.target.counts()
    return {
        "deliveries_per_s": count / (arrived["last_s"] - start_s),
        "repeated": arrived["requests"] - arrived["distinct"],
        **{f"{part}_cpu_ms": value for part, value in spent.items()},
    }


def compare(latency_ms: float, *, count: int, workers: int, rounds: int, serially: int) -> dict[str, float]:
    """Measure both in turns. Return the medians, the ratio of the rates and how far the rounds lie apart."""
    ours, reference = [], []
    for _ in range(rounds):
        reference.append(serial.measure(serially, latency_ms))
        ours.append(measure(count, latency_ms, workers))
    found = {name: median(one[name] for one in ours) for name in ours[0]}
    rates = [one["deliveries_per_s"] for one in ours]
    found["repeated"] = max(one["repeated"] for one in ours)
    found["slowest_per_s"], found["fastest_per_s"] = min(rates), max(rates)
    found["serial_per_s"] = median(reference)
    found["ratio"] = found["deliveries_per_s"] / found["serial_per_s"]
    found["cpu_ms"] = found["workers_cpu_ms"] + found["producer_cpu_ms"]
    return {"latency_ms": latency_ms, **found, "load": load()}


def show(found: dict[str, float]) -> str:
    """Return one line of the table."""
    goal = RATIO_GOALS.get(found["latency_ms"])
    rates = f"{found['deliveries_per_s']:8.0f}/s  {found['slowest_per_s']:5.0f}-{found['fastest_per_s']:<5.0f}"
    ratio = f"{found['ratio']:6.0f} x" + (f" (goal {goal} x)" if goal else "")
    cpu = f"{found['cpu_ms']:.2f} ms (goal {CPU_GOAL_MS:g}), server {found['server_cpu_ms']:.2f} ms"
    return f"{found['latency_ms']:6.0f} ms {rates}  stock loop {found['serial_per_s']:5.2f}/s {ratio}  CPU {cpu}"


def main() -> None:
    """Measure and print a table and, for each latency, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--serial-alerts", type=int, default=15)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=list(RATIO_GOALS))
    parser.add_argument("--workers", type=int, default=4, help="HTTP worker processes")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{chosen.workers} HTTP worker processes, medians of {chosen.rounds} rounds")
    results = []
    for latency_ms in chosen.latency_ms:
        found = compare(
            latency_ms,
            count=chosen.alerts,
            workers=chosen.workers,
            rounds=chosen.rounds,
            serially=chosen.serial_alerts,
        )
        results.append({name: round(value, 3) for name, value in found.items()})
        print(show(found), flush=True)
    print(json.dumps({"bench": "delivery", "workers": chosen.workers, "results": results}))


if __name__ == "__main__":
    main()
