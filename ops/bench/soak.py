"""Half an hour of real work: is anything lost, and does anything grow?

    python -m ops.bench.soak [--minutes 30] [--per-s RATE] [--share 0.6] [--workers 2]

Alerts are written at 60 % of the rate that a flood reaches beforehand (or at RATE); the log is rotated every minute as
the manager does it, and every minute one worker is told to end and another one takes its place. Every few seconds
memory, connections and deliveries in flight are looked at. The first quarter, in which caches fill, is not judged. Of
the rest a line is laid through the samples (least squares): what it climbs from end to end is the growth.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from statistics import linear_regression
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import resident_mib, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ops.bench.system import System

FLOOD: Final = 8000
"""Alerts with which the highest rate is measured."""

SAMPLE_S: Final = 5.0
BLOCK_S: Final = 0.1
"""Alerts are written in blocks, ten a second."""

RECYCLE_S: Final = 60.0
PRODUCER_MIB: Final = 80.0
WORKER_MIB: Final = 150.0
MOST_GROWTH_MIB: Final = 5.0
MOST_MORE_CONNECTIONS: Final = 10.0
"""One left behind by each recycled worker would be 22 in the part of 30 minutes that is judged."""

LEASES: Final = "courier:{slack}:leases"
IN_FLIGHT: Final = 512
"""`max_in_flight`: a climb of half of it is a drift."""


class Sample(NamedTuple):
    """What was seen at one moment."""

    at_s: float
    producer_mib: float
    worker_mib: float
    """Of the largest worker."""

    connections: float
    in_flight: float


def sample(system: System, at_s: float) -> Sample:
    """Look at everything once."""
    leases: Any = system.redis.hlen(LEASES)
    largest = max(resident_mib(worker.pid) for worker in system.workers)
    return Sample(at_s, resident_mib(system.producer.pid), largest, len(system.redis.client_list()), leases)


def highest_per_s(system: System, count: int) -> float:
    """Return how many alerts a second of a flood are delivered."""
    start_s = time.time()
    system.append(alerts(count))
    wait_until(lambda: system.target.counts()["distinct"] >= count, "the flood did not arrive")
    return float(count / (system.target.counts()["last_s"] - start_s))


def soak(system: System, written: int, per_s: float, seconds: float) -> tuple[int, list[Sample]]:
    """Write, rotate, recycle and look until the time is over. Return how many are written and what was seen."""
    start_s, samples, recycled, blocks = time.monotonic(), list[Sample](), 0, 0
    while (now_s := time.monotonic() - start_s) < seconds:
        blocks += 1
        due = FLOOD + int(blocks * BLOCK_S * per_s)
        system.append(alerts(due - written, first=written))
        written = due
        if now_s >= SAMPLE_S * (len(samples) + 1):
            samples.append(sample(system, now_s))
        if now_s >= RECYCLE_S * (recycled + 0.5):
            system.recycle(recycled % len(system.workers))
            system.rotate()
            recycled += 1
        time.sleep(max(0.0, start_s + blocks * BLOCK_S - time.monotonic()))
    return written, samples


def growth(samples: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    """Return how much the line through the last three quarters climbs from end to end."""
    late = samples[len(samples) // 4 :]
    times = [one.at_s for one in late]
    return linear_regression(times, [value(one) for one in late]).slope * (times[-1] - times[0])


def leftovers(system: System, written: int) -> list[Figure]:
    """Wait until everything is over, if it ever is, and count what is missing, repeated and still held."""
    with suppress(TimeoutError):
        wait_until(lambda: system.target.counts()["distinct"] >= written, "not everything arrived")
        wait_until(lambda: not system.redis.hlen("courier:{slack}:records"), "not everything was settled")
    arrived, held = system.target.counts(), system.redis.hlen(LEASES)
    return [
        Figure("lost", (written - arrived["distinct"],), "less", 0),
        Figure("still_held", (float(str(held)),), "less", 0),
        Figure("duplicates", (arrived["requests"] - arrived["distinct"],), "less"),
        Figure("alerts", (written,)),
    ]


def judged(samples: Sequence[Sample]) -> list[Figure]:
    """Return the figures of what was seen: the most of it, and how it grew."""
    producer, worker = [one.producer_mib for one in samples], [one.worker_mib for one in samples]
    return [
        Figure("producer_mib", (max(producer),), "less", PRODUCER_MIB),
        Figure("producer_growth_mib", (growth(samples, lambda one: one.producer_mib),), "less", MOST_GROWTH_MIB),
        Figure("worker_mib", (max(worker),), "less", WORKER_MIB),
        Figure("worker_growth_mib", (growth(samples, lambda one: one.worker_mib),), "less", MOST_GROWTH_MIB),
        Figure("more_connections", (growth(samples, lambda one: one.connections),), "less", MOST_MORE_CONNECTIONS),
        Figure("more_in_flight", (growth(samples, lambda one: one.in_flight),), "less", IN_FLIGHT / 2),
        Figure("connections", tuple(one.connections for one in samples)),
        Figure("in_flight", tuple(one.in_flight for one in samples)),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--per-s", type=float, help="instead of a share of the highest rate")
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    if 60 * chosen.minutes < 6 * SAMPLE_S:
        parser.error("half a minute is the least in which anything can be seen")
    with running(workers=chosen.workers) as system:
        highest = highest_per_s(system, FLOOD)
        per_s = chosen.per_s or chosen.share * highest
        print(
            f"a flood of {FLOOD} went at {highest:.0f}/s; now {per_s:.0f}/s for {chosen.minutes:g} minutes", flush=True
        )
        written, samples = soak(system, FLOOD, per_s, 60 * chosen.minutes)
        figures = [*leftovers(system, written), *judged(samples)]
    rates = [Figure("highest_per_s", (highest,)), Figure("alerts_per_s", (per_s,))]
    return report("soak", [*rates, *figures], about=f"{chosen.minutes:g} minutes, {chosen.workers} workers")


if __name__ == "__main__":
    sys.exit(main())
