"""A replica of the stock Integrator's loop, the reference of the delivery benchmark; it needs no Wazuh.

    python -m ops.bench.stock_loop [--alerts 20] [--latency-ms 50]

It delivers one alert after another: decode the line, write it to a temporary file, start a Python script that posts it
with `requests`, wait for its end, remove the file. It differs from the stock daemon in three points: no shell in
between, no pause of a second at the end of the log, and a shorter script. The real daemon was measured at 8.6, 5.6 and
3.0 alerts a second with a target that responds after 0, 50 and 200 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.bench.alerts import alerts
from ops.bench.system import Target

if TYPE_CHECKING:
    from collections.abc import Iterable

SCRIPT: Final = Path(__file__).with_name("stock_loop_script.py")


def deliver(lines: Iterable[bytes], url: str) -> None:
    """Deliver each alert to `url`. Raises CalledProcessError when the script fails."""
    for line in lines:
        json.loads(line)
        with tempfile.NamedTemporaryFile(suffix=".alert") as file:
            file.write(line)
            file.flush()
            subprocess.run([sys.executable, str(SCRIPT), file.name, "", url], check=True)


def measure(count: int, latency_ms: float) -> float:
    """Return deliveries a second to a target that responds after `latency_ms`."""
    with ExitStack() as stack:
        target = Target(stack, latency_ms=latency_ms)
        start_s = time.monotonic()
        deliver(alerts(count), f"http://127.0.0.1:{target.port}/hook")
        took_s = time.monotonic() - start_s
        if target.counts()["distinct"] != count:
            raise RuntimeError("not everything arrived")
    return count / took_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=20)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    chosen = parser.parse_args()
    print(json.dumps({"deliveries_per_s": round(measure(chosen.alerts, chosen.latency_ms), 2)}))


if __name__ == "__main__":
    main()
