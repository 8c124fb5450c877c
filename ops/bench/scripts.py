"""How fast workers run a custom script, compared with the rate at which the machine can spawn that script.

    python -m ops.bench.scripts [--alerts 120] [--workers 1] [--rounds 5]

The reference is one process per core that repeatedly spawns the script with the same arguments and waits for it:
no queue, no files, no limits, no output. Two scripts are run: `bare`, a Python script without site packages that
reads its alert, the cheapest possible script in Python; and `usual`, which imports `requests` like the scripts of Wazuh
and sends nothing. `shell`, an empty shell script, has no goal: it shows the cost of Courier itself, which is about that
of spawning such a script.

A manager has one worker, which runs 4 scripts at once. With 8 on two cores the machine itself spawns
`usual` only 0.81 times as often as with 2 (20.4 and 25.2 a second).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL: Final = 0.8
CORES: Final = os.cpu_count() or 1
_READ: Final = "import json, sys\njson.load(open(sys.argv[1]))\n"
SCRIPTS: Final = {
    "usual": f"#!{sys.executable}\nimport requests\n{_READ}",
    "bare": f"#!{sys.executable} -SE\n{_READ}",
    "shell": "#!/bin/sh\nexit 0\n",
}
TIMES: Final = {"usual": 1, "bare": 4, "shell": 10}
"""Factors for the number of alerts, so that each script takes about the same time."""

_SPAWN: Final = """
import os, sys
count, script, alert = int(sys.argv[1]), sys.argv[2], sys.argv[3]
for _ in range(count):
    _, status = os.waitpid(os.posix_spawn(script, [script, alert, "", "", "", "", "10", "3"], os.environ), 0)
    assert not status
"""


@contextmanager
def manager_folder() -> Iterator[Path]:
    """Create a manager's folder with the scripts and one alert."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "integrations").mkdir(mode=0o755)
        for script, content in SCRIPTS.items():
            path = home / "integrations" / f"custom-{script}"
            path.write_text(content)
            path.chmod(0o550)
        (home / "alert").write_bytes(next(alerts(1)))
        yield home


def spawns_per_s(home: Path, script: str, count: int) -> float:
    """Return how many times a second the machine can run this script on all its cores."""
    each = max(1, count // CORES)
    file = home / "integrations" / f"custom-{script}"
    command = [sys.executable, "-c", _SPAWN, str(each), str(file), str(home / "alert")]
    start_s = time.monotonic()
    spawners = [subprocess.Popen(command) for _ in range(CORES)]
    statuses = [spawner.wait() for spawner in spawners]
    if any(statuses):
        raise RuntimeError("a script failed")
    return each * CORES / (time.monotonic() - start_s)


def deliveries_per_s(home: Path, script: str, count: int, workers: int) -> float:
    """Return how many times a second the workers run it, from the append to the last settlement."""
    config = f"<ossec_config><integration><name>custom-{script}</name><alert_format>json</alert_format></integration>"
    settings = f'[worker]\nwazuh_home = "{home}"\nintegrations_dir = "{home}/integrations"\n'
    with running(config=f"{config}</ossec_config>", settings=settings, workers=workers, kind="scripts") as system:
        start_s = time.monotonic()
        system.append(alerts(count))
        wait_until(lambda: system.total(f"custom-{script}", "delivered") >= count, "not everything was delivered")
        return count / (time.monotonic() - start_s)


def compare(script: str, count: int, workers: int, rounds: int) -> list[Figure]:
    """Measure the reference and Courier in turns."""
    raw, ours = [], []
    with manager_folder() as home:
        for _ in range(rounds):
            raw.append(spawns_per_s(home, script, count))
            ours.append(deliveries_per_s(home, script, count, workers))
    ratios = tuple(one / other for one, other in zip(ours, raw, strict=True))
    return [
        Figure(f"{script}_per_s", tuple(ours), "more"),
        Figure(f"{script}_spawns_per_s", tuple(raw)),
        Figure(f"{script}_ratio", ratios, "more", None if script == "shell" else GOAL),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=120)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scripts", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    chosen = parser.parse_args()
    figures: list[Figure] = []
    for script in chosen.scripts:
        figures += compare(script, chosen.alerts * TIMES[script], chosen.workers, chosen.rounds)
    about = f"{chosen.alerts} alerts, {CORES} cores, {chosen.workers} worker processes, {chosen.rounds} rounds"
    return report("scripts", figures, about=about)


if __name__ == "__main__":
    sys.exit(main())
