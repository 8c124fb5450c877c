"""Generates the capacity tables of scaling.md from the committed benchmark results.

    python -m ops.docs.render.capacity

`make bench SAVE=1` stores the results. The script replaces only the part between the two markers.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.docs.render.generated_sections import begin, between
from ops.docs.render.performance import command, median_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[1] / "scaling.md"
BEGIN: Final = begin("ops.docs.render.capacity")


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
"""The share of a core that may be busy; the other half lets a backlog shrink as fast as it grew."""

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
    """The resources for a rate of alerts; cores are rounded up, each busy for LOAD of its time."""

    alerts: int
    share: float

    @property
    def deliveries(self) -> float:
        """Deliveries a second."""
        return self.alerts * self.share

    @property
    def producer_cores(self) -> int:
        """The cores for reading and matching every alert and committing the matches."""
        lines_a_second = _of("scan_gib") * 2**30 / _of("alert_bytes") / _of("scan_s")
        return _cores(self.alerts / lines_a_second + self.deliveries * _of("producer_ms") / 1000)

    @property
    def worker_cores(self) -> int:
        """The number of worker processes; each uses one core."""
        return _cores(self.deliveries * _of("worker_ms") / 1000)

    @property
    def servers(self) -> int:
        """The number of Redis servers; each executes commands on one core."""
        return _cores(self.deliveries * _of("redis_ms") / 1000)

    @property
    def in_flight(self) -> int:
        """The number of concurrent requests."""
        return ceil(self.deliveries * LATENCY_S)

    @property
    def outage_gib(self) -> float:
        """The memory of all servers for an outage of all targets that lasts OUTAGE_S, in GiB."""
        return self.deliveries * OUTAGE_S * _of("waiting_bytes") / 2**30

    @property
    def log_mib_s(self) -> float:
        """The growth of the alert logs in MiB/s."""
        return self.alerts * _of("alert_bytes") / 2**20


def render(page: str) -> str:
    """Return the page with the generated part replaced. Raises ValueError if a marker is missing."""
    return between(page, BEGIN, "".join(_tables()))


def _tables() -> Iterator[str]:
    yield "| measured | figure | shown by |\n|---|---|---|\n"
    for one in MEASURED.values():
        yield f"| {one.meaning} | {one.value:g} {one.unit} | `{command(one.bench)}`: `{one.figure}` |\n"
    yield f"\nAssumed: a core is busy for {LOAD:.0%} of its time, a target responds after {1000 * LATENCY_S:.0f} ms, "
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
