"""Writes the capacity tables of scaling.md from what was measured, so that nobody's arithmetic has to be believed.

    python -m ops.docs.render_capacity

The figures are those of the committed results (`make bench SAVE=1`). Only what is between the two marks is written.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.docs.generated_sections import begin, between
from ops.docs.render_performance import command, median_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).with_name("scaling.md")
BEGIN: Final = begin("ops.docs.render_capacity")


class Measured(NamedTuple):
    """One figure of a benchmark's committed result."""

    meaning: str
    unit: str
    bench: str
    figure: str

    @property
    def value(self) -> float:
        """The median."""
        return median_of(self.bench, self.figure)


MEASURED: Final = {
    "worker_ms": Measured("CPU of a worker for a delivery", "ms", "delivery", "workers_cpu_ms_at_50_ms"),
    "producer_ms": Measured("CPU of the producer for a delivery", "ms", "delivery", "producer_cpu_ms_at_50_ms"),
    "redis_ms": Measured(
        "CPU of Redis for a delivery, commit to settlement", "ms", "delivery", "server_cpu_ms_at_50_ms"
    ),
    "scan_gib": Measured("size of a log of which nothing matches", "GiB", "memory", "log_gib"),
    "scan_s": Measured("reading it", "s", "memory", "seconds"),
    "alert_bytes": Measured("size of an alert", "bytes", "footprint", "alert_bytes"),
    "waiting_bytes": Measured("memory of Redis for a delivery that waits", "bytes", "footprint", "waiting_bytes"),
}
"""Two shared cores, Python 3.11, Valkey 9.1 with the append-only file on."""

RATES: Final = (1_000, 10_000, 100_000)
"""Alerts a second, of all managers together."""

SHARES: Final = (0.01, 0.1, 1.0)
"""Deliveries for each alert: the part that matches, times the integrations that it goes to."""

LOAD: Final = 0.5
"""How busy a core may be, so that a backlog can be worked off as fast again as it grows."""

LATENCY_S: Final = 0.05
OUTAGE_S: Final = 600

COLUMNS: Final = (
    "alerts/s",
    "deliveries for each alert",
    "deliveries/s",
    "log, MiB/s",
    "producer cores",
    "worker processes, a core each",
    "Redis servers, a core each",
    "requests at once",
    "memory of all Redis for the outage",
)


class Plan(NamedTuple):
    """What a rate needs; cores as whole ones, each busy for LOAD of its time."""

    alerts: int
    share: float

    @property
    def deliveries(self) -> float:
        """Deliveries a second."""
        return self.alerts * self.share

    @property
    def producer_cores(self) -> int:
        """To read and match every alert, and to commit what matches."""
        lines_a_second = _of("scan_gib") * 2**30 / _of("alert_bytes") / _of("scan_s")
        return _cores(self.alerts / lines_a_second + self.deliveries * _of("producer_ms") / 1000)

    @property
    def worker_cores(self) -> int:
        """As many worker processes, since one keeps one core busy."""
        return _cores(self.deliveries * _of("worker_ms") / 1000)

    @property
    def servers(self) -> int:
        """As many servers of Redis, since each executes commands on one core."""
        return _cores(self.deliveries * _of("redis_ms") / 1000)

    @property
    def in_flight(self) -> int:
        """Requests under way at once."""
        return ceil(self.deliveries * LATENCY_S)

    @property
    def outage_gib(self) -> float:
        """Memory of all servers for an outage of OUTAGE_S of every target."""
        return self.deliveries * OUTAGE_S * _of("waiting_bytes") / 2**30

    @property
    def log_mib_s(self) -> float:
        """What is written to the alert logs, and read from them, a second."""
        return self.alerts * _of("alert_bytes") / 2**20


def render(page: str) -> str:
    """Return the page with the part between the marks written anew. Raises ValueError if a mark is missing."""
    return between(page, BEGIN, "".join(_tables()))


def _tables() -> Iterator[str]:
    yield "| measured | figure | shown by |\n|---|---|---|\n"
    for one in MEASURED.values():
        yield f"| {one.meaning} | {one.value:g} {one.unit} | `{command(one.bench)}`: `{one.figure}` |\n"
    yield f"\nAssumed: a core is busy for {LOAD:.0%} of its time, a target answers after {1000 * LATENCY_S:.0f} ms, "
    yield f"and all targets are away for {OUTAGE_S // 60} minutes.\n\n"
    yield f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}\n"
    for alerts in RATES:
        for share in SHARES:
            yield _row(Plan(alerts, share))


def _row(plan: Plan) -> str:
    cells = (
        f"{plan.alerts:,}",
        f"{plan.share:g}",
        f"{plan.deliveries:,.0f}",
        f"{plan.log_mib_s:,.1f}",
        plan.producer_cores,
        plan.worker_cores,
        plan.servers,
        f"{plan.in_flight:,}",
        f"{plan.outage_gib:,.2f} GiB",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def _cores(busy: float) -> int:
    return ceil(busy / LOAD)


def _of(name: str) -> float:
    return MEASURED[name].value


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
