"""What a delivery costs and how long it takes at a steady rate, compared with an older commit.

    python -m ops.bench.steady [--rates lone 50 200 500 1000 flood] [--flower] [--idle] [--integrations 1 10 100]
                               [--base 07631ae | none] [--seconds 10] [--flood 6000] [--rounds 5] [--to one | all]

One Slack integration, one worker, a Redis of its own and a target that responds at once. The parts, of which those that
are named run, or all of them:

    --rates         CPU of a delivery and latency from newline to receipt: at these rates, of a `lone` alert every 2 s,
                    and in a `flood`. Where syslog-ng is installed, it runs beside.
    --flower        CPU of Flower at 500 alerts/s
    --idle          CPU, memory and start of `courier up` without alerts
    --integrations  what a delivery costs with N integrations; each alert matches one, with `--to all` every one

The base (`ops.bench.base_commit`) runs in the same minutes: both systems are up all the time and get alerts in turns,
and each round has its own ratio. What other load on the machine does to one, it does to both. But if it leaves too
little CPU, alerts pile up, which the latency shows, and a delivery costs what it does in a backlog: then measure again.
CPU is user and system time of each process and its children; at a rate it includes what Courier does once a second.
Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from ops.bench import syslog_ng
from ops.bench.base_commit import DEFAULT, courier_of
from ops.bench.regimes import NAMED, Courier, Meter, Regime, regime
from ops.bench.report import Figure, report
from ops.bench.steady import integrations, up
from ops.bench.steady.figures import figures_of
from ops.bench.system import COURIER, running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.bench.steady.figures import Found

RATES: Final = ("lone", "50", "200", "500", "1000", "flood")
INTEGRATIONS: Final = (1, 10, 100)
PEER_REGIMES: Final = ("200", "flood")
"""The regimes that syslog-ng runs as well."""

WARM_UP: Final = (NAMED["flood"], regime("50"))
"""Regimes that do not count: they open connections and load code."""

PAUSE_S: Final = 1.0

Commands = dict[str, "Sequence[str]"]
"""`current`, and `base` unless there is none → its `courier` command."""


def measure(commands: Mapping[str, Sequence[str]], regimes: Sequence[Regime], options: argparse.Namespace) -> Found:
    """Measure the regimes in turns. Return regime → system → figures of each round."""
    found: Found = {how.label: {} for how in regimes}
    with ExitStack() as stack:
        meters = {
            name: Meter(Courier(stack.enter_context(running(courier=command)))) for name, command in commands.items()
        }
        if syslog_ng.is_installed():
            meters["syslog_ng"] = Meter(stack.enter_context(syslog_ng.running()))
        else:
            print(syslog_ng.MISSING)
        for meter in meters.values():
            for how in WARM_UP:
                meter.measure(how, seconds=1.0, flood=500)
        for number in range(options.rounds):
            for how in regimes:
                for name, meter in list(meters.items())[:: 1 if number % 2 else -1]:
                    if name == "syslog_ng" and how.name not in PEER_REGIMES:
                        continue
                    time.sleep(PAUSE_S)
                    one = meter.measure(how, seconds=options.seconds, flood=options.flood)
                    found[how.label].setdefault(name, []).append(one)
    return found


def main() -> int:
    """Measure and report."""
    options = parse(sys.argv[1:])
    commands: Commands = {"current": COURIER}
    if options.base != "none":
        commands["base"] = [str(courier_of(options.base))]
    figures: list[Figure] = []
    if options.rates:
        figures += figures_of(measure(commands, options.rates, options))
    if options.flower:
        figures += figures_of(up.flower(commands, options.seconds, options.rounds))
    if options.idle:
        figures += figures_of(up.idle(commands, options.rounds))
    if options.integrations:
        figures += integrations.measure(
            options.integrations,
            [how for how in options.rates or () if how.name in integrations.RATES]
            or [*map(regime, integrations.RATES)],
            to_all=options.to == "all",
            seconds=options.seconds,
            rounds=options.rounds,
        )
    return report("steady", figures, about=about(options))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; without a part, all are chosen."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench.steady", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rates", nargs="+", type=regime, metavar="RATE", help="alerts a second, lone or flood")
    parser.add_argument("--flower", action="store_true", help="the CPU of Flower")
    parser.add_argument("--idle", action="store_true", help="`courier up` without alerts")
    parser.add_argument("--integrations", nargs="+", type=int, metavar="N", help="cost by number of integrations")
    parser.add_argument("--to", choices=("one", "all"), default="one", help="whom an alert is for")
    parser.add_argument("--base", default=DEFAULT, metavar="COMMIT", help="the reference, or none")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn at a rate")
    parser.add_argument("--flood", type=int, default=6000, help="alerts of each flood")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if not (options.rates or options.flower or options.idle or options.integrations):
        options.rates, options.integrations = [*map(regime, RATES)], [*INTEGRATIONS]
        options.flower = options.idle = True
    return options


def about(options: argparse.Namespace) -> str:
    """Describe the options."""
    base = "no base" if options.base == "none" else f"base {options.base}"
    whom = ", each alert for all integrations" if options.integrations and options.to == "all" else ""
    turn = f"{options.seconds:g} s a turn, {options.flood} alerts a flood"
    return f"one worker process, {base}, {turn}, {options.rounds} rounds{whom}"


if __name__ == "__main__":
    sys.exit(main())
