"""What a healthy integration loses to sick ones that share its only worker process.

    python -m ops.bench.isolation [--flood 6000] [--per-s 100] [--seconds 8] [--rounds 5]

Three cases in turns, of which each round is compared with its own `alone`:

    alone    the healthy integration by itself
    sick     beside one whose target never answers, one that answers 500 and one at 1/s with 50,000 waiting
    stuck    the same, but three hang, without a breaker's help, and their alerts came one by one: that makes the most
             tasks, each of which holds a place in the worker until its calls time out

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
    from collections.abc import Iterator

    from ops.bench.system import System

LEAST_THROUGHPUT: Final = 0.90
MOST_LATENCY: Final = 2.0
SICK: Final = {"hang": ("/hang", 3000), "fail": ("/fail", 3000), "slow": ("/other", 50_000)}
"""Integration → path at the target, alerts that wait for it."""

STUCK: Final = ("hang", "hang-2", "hang-3")
STUCK_ALERTS: Final = 400
"""For each, before its others if it has any."""

_BLOCK: Final = """<integration id="{name}"><name>slack</name><hook_url>http://127.0.0.1:{{port}}{path}</hook_url>
<group>{name}</group><alert_format>json</alert_format></integration>
"""
PATHS: Final = {"healthy": "/hook"} | dict.fromkeys(STUCK, "/hang") | {name: path for name, (path, _) in SICK.items()}
CONFIG: Final = "\n".join(
    ["<ossec_config>", *(_BLOCK.format(name=name, path=path) for name, path in PATHS.items()), "</ossec_config>"]
)
SETTINGS: Final = '[integrations.default]\nrate_limits = []\n[integrations.slow]\nrate_limits = ["1/s"]\n'
NO_BREAKER: Final = '[integrations."hang*"]\nbreaker_failures = 0\nbreaker_ratio = "0%"\n'
CASES: Final = {"alone": SETTINGS, "sick": SETTINGS, "stuck": SETTINGS + NO_BREAKER}


def sicken(system: System, *, stuck: bool) -> None:
    """Let alerts wait for the sick integrations, and return once all are in the ledger and each has begun to fail."""
    if stuck:
        lines = [line for n in range(STUCK_ALERTS) for name in STUCK for line in alerts(1, name, first=10**6 + n)]
        system.append_steadily(lines, per_s=100 * len(STUCK))
    for name, (_, count) in SICK.items():
        system.append(alerts(count, name))
    total = sum(count for _, count in SICK.values()) + stuck * len(STUCK) * STUCK_ALERTS
    wait_until(
        lambda: sum(system.total(name, "committed") for name in PATHS) >= total + WARM_UP, "not all was committed"
    )
    wait_until(lambda: len(system.target.counts()["aside"]) == len(SICK), "not every sick target was called")


def measure(case: str, *, flood: int, per_s: float, seconds: float) -> dict[str, float]:
    """Run one case once. Return deliveries a second, and percentiles of the latency in ms."""
    with running(config=CONFIG, settings=CASES[case], quiet=True) as system:
        latencies_ms(system, WARM_UP, per_s, group="healthy")
        if case != "alone":
            sicken(system, stuck=case == "stuck")
        start_s = time.time()
        system.append(alerts(flood, "healthy", first=WARM_UP))
        wait_until(lambda: system.target.counts()["requests"] >= WARM_UP + flood, "not everything arrived")
        rate = flood / (system.target.counts()["last_s"] - start_s)
        found = latencies_ms(system, round(per_s * seconds), per_s, first=WARM_UP + flood, group="healthy")
        calls = system.target.counts()["aside"]
    return {
        "per_s": rate,
        "p50_ms": median(found),
        "p99_ms": percentile(found, 99),
        **{f"{name}_calls": calls.get(path, 0) for name, (path, _) in SICK.items()},
    }


def compare(rounds: int, *, flood: int, per_s: float, seconds: float) -> list[Figure]:
    """Measure all cases in turns. Return the figures of each, and its ratios to `alone`."""
    ran: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(rounds):
        for case, results in ran.items():
            results.append(measure(case, flood=flood, per_s=per_s, seconds=seconds))
    return [figure for case in CASES for figure in _figures(case, ran)]


def _figures(case: str, ran: dict[str, list[dict[str, float]]]) -> Iterator[Figure]:
    results = ran[case]
    yield Figure(f"{case}_per_s", tuple(one["per_s"] for one in results), "more")
    yield Figure(f"{case}_p50_ms", tuple(one["p50_ms"] for one in results), "less")
    yield Figure(f"{case}_p99_ms", tuple(one["p99_ms"] for one in results), "less")
    if case == "alone":
        return
    pairs = list(zip(results, ran["alone"], strict=True))
    throughput = tuple(one["per_s"] / alone["per_s"] for one, alone in pairs)
    yield Figure(f"{case}_throughput_ratio", throughput, "more", LEAST_THROUGHPUT)
    yield Figure(
        f"{case}_p99_ratio", tuple(one["p99_ms"] / alone["p99_ms"] for one, alone in pairs), "less", MOST_LATENCY
    )
    for name in SICK:
        yield Figure(f"{case}_calls_{name}", tuple(one[f"{name}_calls"] for one in results))


def main() -> int:
    """Measure and tell. Return 1 if the healthy integration loses too much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--flood", type=int, default=6000)
    parser.add_argument("--per-s", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    figures = compare(chosen.rounds, flood=chosen.flood, per_s=chosen.per_s, seconds=chosen.seconds)
    about = f"a flood of {chosen.flood}, then {chosen.per_s:g}/s for {chosen.seconds:g} s, rounds: {chosen.rounds}"
    return report("isolation", figures, about=about)


if __name__ == "__main__":
    sys.exit(main())
