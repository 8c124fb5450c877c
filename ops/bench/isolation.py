"""What a healthy integration loses to failing ones that share its only worker process.

    python -m ops.bench.isolation [--flood 6000] [--per-s 100] [--seconds 8] [--rounds 5] [--cases small large]

Five cases in turns, compared round by round:

    alone    the healthy integration by itself
    failing  next to one whose target never responds, one that returns 500 and one at 1/s with 50,000 waiting
    stuck    the same, but three hang, without a breaker, and their alerts came one by one: this gives the most tasks,
             each of which occupies the worker until its calls time out; it has no goal, because hundreds of calls
             that time out at the same moment have a fixed cost
    small    next to one that returns 500 and a short page, ten times a second, without a breaker
    large    the same with a page of 1 MiB: beside `small` it shows what the size of the page costs

Throughput is that of a flood of alerts; latency, from newline to request, that of a steady rate after it.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from ops.bench.alerts import alerts
from ops.bench.latency import WARM_UP, latencies_ms
from ops.bench.report import Figure, report
from ops.bench.system import percentile, running, wait_until

if TYPE_CHECKING:
    from ops.bench.system import System

LEAST_THROUGHPUT: Final = 0.90
MOST_LATENCY: Final = {"failing": 2.0, "large": 1.3}
FAILING: Final = {"hang": ("/hang", 3000), "fail": ("/fail", 3000), "slow": ("/other", 50_000)}
"""Integration → path at the target, number of its alerts."""

STUCK: Final = ("hang", "hang-2", "hang-3")
STUCK_ALERTS: Final = 400
"""For each integration, before its other alerts if it has any."""

ERROR_PAGES: Final = {"small": "/fail", "large": "/large"}
"""Integration, which is also the name of its case → path at the target."""

ERROR_PAGE_ALERTS: Final = 3000

_BLOCK: Final = """<integration id="{name}"><name>slack</name><hook_url>http://127.0.0.1:{{port}}{path}</hook_url>
<group>{name}</group><alert_format>json</alert_format>{more}</integration>
"""
_OPTIONS: Final = """<options>{{"authorization": "Bearer 0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d", "callback":
"https://soc:d7-Kq2_x9@hooks.example/T0A1B2C3/B0A1B2C3/a1B2c3D4e5F6g7H8i9J0k1L2?sig=f0e1d2c3b4a5968778695a4b"}}</options>"""
"""Secrets in many forms; Courier searches each response of the target for all of them."""

PATHS: Final = {
    "healthy": "/hook",
    **ERROR_PAGES,
    **dict.fromkeys(STUCK, "/hang"),
    **{name: path for name, (path, _) in FAILING.items()},
}
CONFIG: Final = "\n".join(
    [
        "<ossec_config>",
        *(_BLOCK.format(name=name, path=path, more=_OPTIONS) for name, path in PATHS.items()),
        "</ossec_config>",
    ]
)
SETTINGS: Final = '[integrations.default]\nrate_limits = []\n[integrations.slow]\nrate_limits = ["1/s"]\n'
NO_BREAKER: Final = 'breaker_failures = 0\nbreaker_ratio = "0%"\n'
CASES: Final = {
    "alone": SETTINGS,
    "failing": SETTINGS,
    "stuck": f'{SETTINGS}[integrations."hang*"]\n{NO_BREAKER}',
    **{name: f'{SETTINGS}[integrations.{name}]\nrate_limits = ["10/s"]\n{NO_BREAKER}' for name in ERROR_PAGES},
}


def make_targets_fail(system: System, *, stuck: bool) -> None:
    """Write alerts for the failing integrations; return when all are committed and each has begun to fail."""
    if stuck:
        lines = [line for n in range(STUCK_ALERTS) for name in STUCK for line in alerts(1, name, first=10**6 + n)]
        system.append_steadily(lines, per_s=100 * len(STUCK))
    for name, (_, count) in FAILING.items():
        system.append(alerts(count, name))
    total = sum(count for _, count in FAILING.values()) + stuck * len(STUCK) * STUCK_ALERTS
    wait_until(
        lambda: sum(system.total(name, "committed") for name in PATHS) >= total + WARM_UP,
        "not all alerts were committed",
    )
    wait_until(lambda: len(system.target.counts()["by_path"]) == len(FAILING), "not every failing target was called")


def send_for_error_pages(system: System, name: str) -> None:
    """Write alerts for the integration whose target responds with error pages; return when it has begun to fail."""
    system.append(alerts(ERROR_PAGE_ALERTS, name))
    wait_until(lambda: system.target.counts()["by_path"].get(PATHS[name]), "the target was not called")


def measure(case: str, *, flood: int, per_s: float, seconds: float) -> dict[str, float]:
    """Run one case once. Return deliveries a second, and percentiles of the latency in ms."""
    with running(config=CONFIG, settings=CASES[case], quiet=True) as system:
        latencies_ms(system, WARM_UP, per_s, group="healthy")
        if case in ERROR_PAGES:
            send_for_error_pages(system, case)
        elif case != "alone":
            make_targets_fail(system, stuck=case == "stuck")
        start_s = time.time()
        system.append(alerts(flood, "healthy", first=WARM_UP))
        wait_until(lambda: system.target.counts()["requests"] >= WARM_UP + flood, "not everything arrived")
        rate = flood / (system.target.counts()["last_s"] - start_s)
        found = latencies_ms(system, round(per_s * seconds), per_s, first=WARM_UP + flood, group="healthy")
        calls = system.target.counts()["by_path"]
    return {
        "per_s": rate,
        "p50_ms": median(found),
        "p99_ms": percentile(found, 99),
        **{f"{name}_calls": calls.get(PATHS[name], 0) for name in (*FAILING, *ERROR_PAGES)},
    }


def compare(ran: dict[str, list[dict[str, float]]]) -> list[Figure]:
    """Return the figures of all cases, with ratios to `alone` of the same round."""
    alone = ran["alone"]
    figures: list[Figure] = []
    for case, rounds in ran.items():
        measured = ("per_s", "p50_ms", "p99_ms")
        figures += [Figure(f"{case}_{name}", tuple(one[name] for one in rounds)) for name in measured]
        if case != "alone":
            throughput, p99 = (  # of the same round, so that other load on the machine affects both
                tuple(one[name] / by_itself[name] for one, by_itself in zip(rounds, alone, strict=True))
                for name in ("per_s", "p99_ms")
            )
            least = LEAST_THROUGHPUT if case in MOST_LATENCY else None
            figures.append(Figure(f"{case}_throughput_ratio", throughput, "more", least))
            figures.append(Figure(f"{case}_p99_ratio", p99, "less", MOST_LATENCY.get(case)))
            called = (case,) if case in ERROR_PAGES else tuple(FAILING)
            figures += [
                Figure(f"{case}_{name}_calls", tuple(one[f"{name}_calls"] for one in rounds)) for name in called
            ]
    return figures


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flood", type=int, default=6000)
    parser.add_argument("--per-s", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=[*CASES][1:], default=[*CASES][1:], help="beside `alone`")
    chosen = parser.parse_args()
    ran: dict[str, list[dict[str, float]]] = {case: [] for case in ("alone", *chosen.cases)}
    for _ in range(chosen.rounds):
        for case, rounds in ran.items():
            rounds.append(measure(case, flood=chosen.flood, per_s=chosen.per_s, seconds=chosen.seconds))
    about = f"one worker process, {chosen.flood} alerts at once, then {chosen.per_s:g} a second, {chosen.rounds} rounds"
    return report("isolation", compare(ran), about=about)


if __name__ == "__main__":
    sys.exit(main())
