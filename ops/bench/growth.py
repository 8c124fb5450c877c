"""What a delivery costs at scale: with 100 integrations, and with an alert log of 10 GB.

    python -m ops.bench.growth [--only integrations | log] [--gigabytes 10] [--alerts 10000] [--workers 2] [--rounds 9]

`ops.bench.backlog` measures a long backlog. The log needs its size on the disk of TMPDIR. Exits with 1 if a delivery
costs more than 1.2 times as much as in the small case.
"""

from __future__ import annotations

import argparse
import sys

from ops.bench import flood, long_log
from ops.bench.report import Figure, report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("integrations", "log"))
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--alerts", type=int, default=10_000, help="for each turn")
    parser.add_argument("--workers", type=int, default=2, help="HTTP worker processes")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    figures: list[Figure] = []
    if chosen.only != "log":
        figures += flood.measure(chosen.alerts, chosen.rounds, chosen.workers)
    if chosen.only != "integrations":
        figures += long_log.measure(chosen.gigabytes, chosen.alerts, chosen.rounds)
    about = f"{chosen.alerts} alerts a turn, {chosen.workers} workers, a log of {chosen.gigabytes:g} GB, "
    sys.exit(report("growth", figures, about=f"{about}{chosen.rounds} rounds"))


if __name__ == "__main__":
    main()
