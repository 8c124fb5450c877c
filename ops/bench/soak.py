"""Half an hour at 60 % of the maximum rate; every minute the log is rotated and a worker restarted.

    python -m ops.bench.soak [--minutes 30] [--per-s RATE]

First everything runs at full load, which gives the maximum rate and lets everything grow that grows with the load. Two
workers serve one integration: one is stopped and replaced every minute, the other runs to the end, and its memory and
connections are sampled. Exits with 1 if an alert was lost or a sampled value has grown.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import Final, NamedTuple

from ops.bench.memory import peak_kib
from ops.bench.report import Figure, report
from ops.bench.rotating_log import RotatingLog, Writing
from ops.bench.sampling import ID, KIB_A_MB, Tally, column, growth, growth_of_floor, take_sample
from ops.bench.system import System, running, wait_until

SHARE: Final = 0.6
"""The share of the maximum rate."""

FLOODS: Final = 3
FLOOD_ALERTS: Final = 10_000
CROWD_ALERTS: Final = 600
"""More than `max_in_flight`."""

CROWD_PAUSE_S: Final = 0.005
"""In total 3 s: no request reaches its timeout of 10 s."""

MINUTE_S: Final = 60.0
SAMPLE_S: Final = 1.0
STUCK_S: Final = 120.0
"""If nothing arrives for this long, missing alerts are lost; a lease of 60 s has expired by then."""

STEADY, RECYCLED = 0, 1
PRODUCER_MB, WORKER_MB = 80.0, 150.0
GROWTH_GOALS: Final = {"producer_mb": 2.0, "worker_mb": 3.0, "keys": 4.0}
"""From the second quarter of the run to the last: with 30 minutes these are 15 minutes, so 3 MB would be 300 a day.

The number of keys varies by four, because Redis deletes empty keys.
"""

FILES_A_CONNECTION: Final = 3
"""In libcurl: the socket, and two to wake up its poll."""

FLOOR_GOALS: Final = {
    "producer_files": 0.0,
    "worker_files": 4.0 * FILES_A_CONNECTION,
    "connections": 8.0,
    "in_flight": 16.0,
    "begun": 16.0,
    "queued": 8.0,
}
"""A leak of one per restart would be 15; values in flight vary by chance."""


class Soak:
    """One run: writes the log, restarts a worker, takes samples and counts arrivals."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._log = RotatingLog(system.log)
        self.tally = Tally()
        self.samples: list[dict[str, float]] = []
        self.statuses: list[int] = []
        self.recycle_s: list[float] = []
        self.worker_peak_mb = 0.0

    def crowd(self) -> None:
        """Bring as many separate deliveries in flight in one worker as `max_in_flight` allows.

        Pools keep every connection and thread that was ever in use at the same time; growth after this is a leak.
        """
        with self._system.target.held():
            for _ in range(CROWD_ALERTS):
                self._log.append(1)
                time.sleep(CROWD_PAUSE_S)
        wait_until(self._is_done, "not everything arrived")

    def flood(self) -> float:
        """Write FLOOD_ALERTS alerts at once. Return deliveries a second."""
        start_s = time.time()
        self._log.append(FLOOD_ALERTS)
        wait_until(self._is_done, "not everything arrived")
        last_s = float(self._system.target.counts()["last_s"])
        return FLOOD_ALERTS / (last_s - start_s)

    def run(self, minutes: int, per_s: float) -> None:
        """Write for `minutes`, and wait until all alerts have arrived."""
        writing = Writing(self._log, per_s)
        writing.start()
        start_s = time.monotonic()
        for minute in range(1, minutes + 1):
            while time.monotonic() < start_s + minute * MINUTE_S:
                self._watch()
                time.sleep(SAMPLE_S)
            print(self._progress(minute), flush=True)
            if minute < minutes:
                self._disturb()
        writing.stop()
        self._drain()
        self._log.close()

    def peaks(self) -> tuple[float, float]:
        """Return the peak resident memory of the producer and of any worker, in MB."""
        self.worker_peak_mb = max(
            self.worker_peak_mb, *(peak_kib(worker.pid) / KIB_A_MB for worker in self._system.workers)
        )
        return peak_kib(self._system.producer.pid) / KIB_A_MB, self.worker_peak_mb

    def left(self) -> float:
        """Return the number of deliveries and queued tasks that are left at the end."""
        seen = take_sample(self._system, STEADY)
        return sum(seen[name] for name in ("waiting", "in_flight", "begun", "queued"))

    @property
    def written(self) -> int:
        """The number of alerts written."""
        return self._log.written

    @property
    def rotations(self) -> int:
        """The number of log rotations."""
        return self._log.rotations

    def _watch(self) -> None:
        for process, what in ((self._system.producer, "producer"), (self._system.workers[STEADY], "worker")):
            if process.poll() is not None:
                raise SystemExit(f"the {what} exited unexpectedly with status {process.returncode}")
        self.samples.append(take_sample(self._system, STEADY))
        self.tally.add(self._system.target.taken())

    def _disturb(self) -> None:
        """Rotate the log and restart a worker."""
        self._log.rotate()
        self.peaks()
        status, took_s = self._system.recycle(RECYCLED)
        self.statuses.append(status)
        self.recycle_s.append(took_s)
        self._log.tidy(self.tally.unbroken)

    def _is_done(self) -> bool:
        self.tally.add(self._system.target.taken())
        return self.tally.distinct >= self.written and not self._system.redis.hlen(f"courier:{{{ID}}}:records")

    def _drain(self) -> None:
        before, moved_s = -1, time.monotonic()
        while not self._is_done() and time.monotonic() < moved_s + STUCK_S:
            if self.tally.distinct > before:
                before, moved_s = self.tally.distinct, time.monotonic()
            time.sleep(0.2)

    def _progress(self, minute: int) -> str:
        last = self.samples[-1]
        values = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
        behind = self.written - self.tally.distinct
        return (
            f"{minute:3} min  written {self.written}  not yet arrived {behind}  repeated {self.tally.repeats}  {values}"
        )


class Rates(NamedTuple):
    """The results at full load: alerts a second, and memory in MB."""

    floods: tuple[float, ...]
    producer_mb: float
    worker_mb: float


def figures(soak: Soak, rates: Rates, per_s: float, brought_back: int) -> list[Figure]:
    """Return the figures of a run."""
    producer_mb, worker_mb = soak.peaks()
    found = [
        Figure("highest_per_s", rates.floods),
        Figure("soak_per_s", (per_s,)),
        Figure("alerts", (float(soak.written),)),
        Figure("lost", (float(soak.written - soak.tally.distinct),), "less", 0),
        Figure("repeated", (float(soak.tally.repeats),)),
        Figure("brought_back", (float(brought_back),)),
        Figure("left_in_flight", (soak.left(),), "less", 0),
        Figure("rotations", (float(soak.rotations),)),
        Figure("recycled", (float(len(soak.statuses)),)),
        Figure("recycled_with_an_error", (float(sum(map(bool, soak.statuses))),), "less", 0),
        Figure("producer_full_load_mb", (rates.producer_mb,), "less", PRODUCER_MB),
        Figure("worker_full_load_mb", (rates.worker_mb,), "less", WORKER_MB),
        Figure("producer_peak_mb", (producer_mb,), "less", PRODUCER_MB),
        Figure("worker_peak_mb", (worker_mb,), "less", WORKER_MB),
    ]
    if soak.recycle_s:
        found.append(Figure("recycle_s", tuple(soak.recycle_s)))
    for name, goal in GROWTH_GOALS.items():
        found.append(Figure(f"{name}_growth", (growth(column(soak.samples, name)),), "less", goal))
    for name, goal in FLOOR_GOALS.items():
        found.append(Figure(f"{name}_growth", (growth_of_floor(column(soak.samples, name)),), "less", goal))
    return found


def measure(minutes: int, per_s: float | None) -> list[Figure]:
    """Run it all; `per_s` is None for 60 % of what is measured first."""
    with running(workers=1) as system:
        soak = Soak(system)
        soak.crowd()
        system.add_worker()
        floods = tuple(soak.flood() for _ in range(FLOODS))
        rates = Rates(floods, *soak.peaks())
        rate = per_s or SHARE * median(floods)
        print(f"at most {median(floods):.0f}/s; now {rate:.0f}/s for {minutes} minutes", flush=True)
        soak.run(minutes, rate)
        brought_back = system.total(ID, "lost") + system.total(ID, "released_again")
        return figures(soak, rates, rate, brought_back)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--per-s", type=float, help="alerts a second, instead of 60 %% of the maximum rate")
    chosen = parser.parse_args()
    if chosen.minutes < 1:
        parser.error("--minutes: at least 1")
    about = f"{chosen.minutes} minutes, rotated and a worker recycled every minute"
    return report("soak", measure(chosen.minutes, chosen.per_s), about=about)


if __name__ == "__main__":
    sys.exit(main())
