"""What an alert costs and how long it takes at a steady rate, alone, or in a flood.

A benchmark in a flood says what a backlog costs: deliveries share tasks, commits and round trips. At a steady rate
each alert may have to go by itself, which is how most managers run most of the time.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ops.bench.alerts import alert, alert_id, write_steadily
from ops.bench.process_tree import usage
from ops.bench.system import percentile, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ops.bench.system import System, Target

LONE_PER_S: Final = 0.5
LONE_ALERTS: Final = 8


class Regime(NamedTuple):
    """How the alerts arrive."""

    name: str
    """As on the command line: `lone`, `flood`, or a rate such as `200`."""

    per_s: float | None
    """Alerts a second; None for all at once."""

    @property
    def label(self) -> str:
        """The first part of the names of its figures."""
        return self.name if self.name in NAMED else f"{self.name}_per_s"

    def alerts(self, seconds: float, flood: int) -> int:
        """Return the number of alerts for one measurement."""
        if self.per_s is None:
            return flood
        return LONE_ALERTS if self.name == "lone" else round(self.per_s * seconds)


NAMED: Final = {"lone": Regime("lone", LONE_PER_S), "flood": Regime("flood", None)}


def regime(text: str) -> Regime:
    """Parse a regime. Raises argparse.ArgumentTypeError."""
    if text in NAMED:
        return NAMED[text]
    try:
        per_s = float(text)
    except ValueError:
        per_s = 0.0
    if not 0.1 <= per_s <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a rate from 0.1 to 100000 nor {' nor '.join(NAMED)}")
    return Regime(f"{per_s:g}", per_s)


class Subject(Protocol):
    """Something that reads an alert log and posts each alert to the target."""

    @property
    def target(self) -> Target:
        """Where the alerts arrive."""

    @property
    def log(self) -> Path:
        """The alert log."""

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds spent so far, by part, children included."""

    def is_settled(self) -> bool:
        """Return whether nothing is left to do for the alerts that have arrived."""


class Courier:
    """A running System as a Subject."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.target, self.log = system.target, system.log

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of producer, workers and Redis."""
        system = self._system
        return {
            "producer": usage([system.producer.pid]).cpu_s,
            "workers": usage(worker.pid for worker in system.workers).cpu_s,
            "server": usage([system.server.pid or 0]).cpu_s,
        }

    def is_settled(self) -> bool:
        """Return whether the ledger is empty."""
        return not list(self._system.redis.scan_iter("courier:*:records", count=1000))


class Meter:
    """Writes alerts for a subject, waits until all have arrived, and measures them."""

    def __init__(
        self, subject: Subject, *, group: Callable[[int], str] = lambda _: "sshd", deliveries_an_alert: int = 1
    ) -> None:
        """`group` is the group of alert number n, which filters go by."""
        self._subject, self._group, self._each = subject, group, deliveries_an_alert
        self._written = 0

    def measure(self, how: Regime, *, seconds: float, flood: int) -> dict[str, float]:
        """Measure one regime. Return the CPU in ms a delivery, and latencies in ms or in a flood deliveries a second.

        At a rate the CPU is that of the whole time, with everything that Courier does once a second.
        """
        each = self._each
        per_s = how.per_s and how.per_s / each  # the rate is that of deliveries
        count = max(2, round(how.alerts(seconds, flood) / each))  # a percentile needs two
        ids = [alert_id(n) for n in range(self._written, self._written + count)]
        before = self._subject.cpu()
        written_s = self._write(count, per_s)
        wait_until(lambda: self._subject.target.counts()["requests"] >= self._written * each, "not everything arrived")
        wait_until(self._subject.is_settled, "not everything was settled")
        spent = {part: after - before[part] for part, after in self._subject.cpu().items()}
        arrived_s, last_s = self._subject.target.times(), self._subject.target.counts()["last_s"]
        self._subject.target.taken()  # so that it forgets the times
        latencies_ms = [1000 * (arrived_s[name] - at_s) for name, at_s in zip(ids, written_s, strict=True)]
        cost = {"cpu_ms": sum(spent.values()), **{f"{part}_cpu_ms": value for part, value in spent.items()}}
        costs = {name: 1000 * value / (count * each) for name, value in cost.items()}
        if per_s is None:
            return {**costs, "per_s": count * each / (last_s - written_s[0])}
        if how.name == "lone":
            return {"p50_ms": median(latencies_ms), "worst_ms": max(latencies_ms)}
        return {**costs, "p50_ms": median(latencies_ms), "p99_ms": percentile(latencies_ms, 99)}

    def _write(self, count: int, per_s: float | None) -> list[float]:
        """Write the next alerts. Return the time of each in seconds since the epoch."""
        lines = [alert(n, self._group(n)) for n in range(self._written, self._written + count)]
        self._written += count
        if per_s is not None:
            return write_steadily(self._subject.log, lines, per_s=per_s)
        now_s = time.time()
        with self._subject.log.open("ab") as log:
            log.write(b"".join(lines))
        return [now_s] * count
