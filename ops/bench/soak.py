"""Half an hour at 60 % of the highest rate, the log rotated and a worker recycled every minute: nothing lost, all flat.

    python -m ops.bench.soak [--minutes 30] [--per-s RATE]

First everything runs at full load: that gives the highest rate, and what grows with load only has grown by then. Two
workers serve one integration; one is told to stop every minute and another starts in its place, the other lives as
long as the run, and is the one of which memory and connections are looked at. Exits with 1 if anything was lost or
has grown.
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
from ops.bench.sampling import ID, KIB_A_MB, Tally, column, growth, growth_of_floor, look
from ops.bench.system import System, running, wait_until

SHARE: Final = 0.6
"""Of the highest rate."""

FLOODS: Final = 3
FLOOD_ALERTS: Final = 10_000
CROWD_ALERTS: Final = 600
"""More than `max_in_flight`."""

CROWD_PAUSE_S: Final = 0.005
"""In all 3 s: no call runs into its time limit of 10 s."""

MINUTE_S: Final = 60.0
SAMPLE_S: Final = 1.0
STUCK_S: Final = 120.0
"""When nothing has arrived for so long, what is missing is lost; a lease of 60 s is over by then."""

STEADY, RECYCLED = 0, 1
PRODUCER_MB, WORKER_MB = 80.0, 150.0
GROWTH_GOALS: Final = {"producer_mb": 2.0, "worker_mb": 3.0, "keys": 4.0}
"""From the second quarter of the run to the last: in 30 minutes these are 15 minutes, so 3 MB would be 300 a day.

Keys come and go by four with what they hold: an empty one is none.
"""

FILES_A_CONNECTION: Final = 3
"""libcurl's: the socket, and two to wake itself."""

FLOOR_GOALS: Final = {
    "producer_files": 0.0,
    "worker_files": 4.0 * FILES_A_CONNECTION,
    "connections": 8.0,
    "in_flight": 16.0,
    "begun": 16.0,
    "queued": 8.0,
}
"""A leak of one by each recycling would be 15; of what is in flight, some more is chance."""


class Soak:
    """One run."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._log = RotatingLog(system.log)
        self.tally = Tally()
        self.samples: list[dict[str, float]] = []
        self.statuses: list[int] = []
        self.recycle_s: list[float] = []
        self.worker_peak_mb = 0.0

    def crowd(self) -> None:
        """Let as much be in flight in one worker as ever may be, each by itself.

        Pools keep every connection and thread that was ever needed at once; what grows from here on is a leak.
        """
        with self._system.target.held():
            for _ in range(CROWD_ALERTS):
                self._log.append(1)
                time.sleep(CROWD_PAUSE_S)
        wait_until(self._is_over, "not everything arrived")

    def flood(self) -> float:
        """Write many alerts at once. Return how many were delivered a second."""
        start_s = time.time()
        self._log.append(FLOOD_ALERTS)
        wait_until(self._is_over, "not everything arrived")
        last_s = float(self._system.target.counts()["last_s"])
        return FLOOD_ALERTS / (last_s - start_s)

    def run(self, minutes: int, per_s: float) -> None:
        """Write for so long, and wait until everything has arrived."""
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
        """Return the most that the producer and any worker ever had resident, in MB."""
        self.worker_peak_mb = max(
            self.worker_peak_mb, *(peak_kib(worker.pid) / KIB_A_MB for worker in self._system.workers)
        )
        return peak_kib(self._system.producer.pid) / KIB_A_MB, self.worker_peak_mb

    def left(self) -> float:
        """Return what is still on its way although all is over."""
        seen = look(self._system, STEADY)
        return sum(seen[name] for name in ("waiting", "in_flight", "begun", "queued"))

    @property
    def written(self) -> int:
        """How many alerts there were in all."""
        return self._log.written

    @property
    def rotations(self) -> int:
        """How often the log was rotated."""
        return self._log.rotations

    def _watch(self) -> None:
        for process, what in ((self._system.producer, "producer"), (self._system.workers[STEADY], "worker")):
            if process.poll() is not None:
                raise SystemExit(f"the {what} ended by itself with status {process.returncode}")
        self.samples.append(look(self._system, STEADY))
        self.tally.add(self._system.target.taken())

    def _disturb(self) -> None:
        """Do what is done once a minute."""
        self._log.rotate()
        self.peaks()
        status, took_s = self._system.recycle(RECYCLED)
        self.statuses.append(status)
        self.recycle_s.append(took_s)
        self._log.tidy(self.tally.unbroken)

    def _is_over(self) -> bool:
        self.tally.add(self._system.target.taken())
        return self.tally.distinct >= self.written and not self._system.redis.hlen(f"courier:{{{ID}}}:records")

    def _drain(self) -> None:
        before, moved_s = -1, time.monotonic()
        while not self._is_over() and time.monotonic() < moved_s + STUCK_S:
            if self.tally.distinct > before:
                before, moved_s = self.tally.distinct, time.monotonic()
            time.sleep(0.2)

    def _progress(self, minute: int) -> str:
        last = self.samples[-1]
        told = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
        behind = self.written - self.tally.distinct
        return (
            f"{minute:3} min  written {self.written}  not yet arrived {behind}  repeated {self.tally.repeats}  {told}"
        )


class Rates(NamedTuple):
    """What was measured at full load: alerts a second, and memory in MB."""

    floods: tuple[float, ...]
    producer_mb: float
    worker_mb: float


def figures(soak: Soak, rates: Rates, per_s: float, brought_back: int) -> list[Figure]:
    """Return what is reported of a run."""
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
    parser.add_argument("--per-s", type=float, help="alerts a second, instead of 60 %% of what is measured first")
    chosen = parser.parse_args()
    if chosen.minutes < 1:
        parser.error("--minutes: at least 1")
    about = f"{chosen.minutes} minutes, rotated and a worker recycled every minute"
    return report("soak", measure(chosen.minutes, chosen.per_s), about=about)


if __name__ == "__main__":
    sys.exit(main())
