"""The whole path: alerts appended to the log → producer → ledger → Celery → worker → target.

    python -m ops.bench.delivery [--alerts 20000] [--latency-ms 50] [--workers 1]

Prints deliveries a second from the append to the last request, and the CPU that producer, workers and server spent.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.embedded import EmbeddedServer, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LIMIT_S = 600.0
CONFIG = """<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:{port}/hook</hook_url>
<alert_format>json</alert_format></integration></ossec_config>
"""


def alerts(count: int) -> Iterator[bytes]:
    """Yield alerts of about 1.5 KB that all match, with ids of their own."""
    for n in range(count):
        yield (
            json.dumps(
                {
                    "timestamp": "2026-01-31T08:00:00.000+0000",
                    "rule": {
                        "level": 10,
                        "id": "5712",
                        "description": "sshd: brute force",
                        "groups": ["syslog", "sshd"],
                    },
                    "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
                    "manager": {"name": "wazuh"},
                    "id": f"1769846400.{n}",
                    "full_log": f"Jan 31 08:00:00 web01 sshd[{n}]: Invalid user x from 203.0.113.7 port {n} "
                    + "y" * 1000,
                    "data": {"srcip": "203.0.113.7", "srcuser": "x"},
                    "location": "/var/log/secure",
                },
                separators=(",", ":"),
            ).encode()
            + b"\n"
        )


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has spent so far (proc(5), fields utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def counts(port: int) -> dict[str, Any]:
    """Return what the target has counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def wait_until(ready: Any, what: str) -> None:
    """Poll until `ready()` or raise TimeoutError."""
    deadline = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


class System:
    """Everything that runs for one measurement, in a folder of its own."""

    def __init__(self, stack: ExitStack, folder: Path, *, latency_ms: float, workers: int) -> None:
        """Start it all and wait until the producer follows the log and the workers listen."""
        self._folder, self.port = folder, free_port()
        self.alerts = folder / "alerts.json"
        self.alerts.touch()
        (folder / "ossec.conf").write_text(CONFIG.format(port=self.port))
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        stack.callback(self.server.stop)
        self._stack = stack
        self._start([sys.executable, "-m", "ops.bench.target", str(self.port), str(latency_ms)])
        self.producer = self._courier(
            "producer", "--config", str(folder / "ossec.conf"), "--alerts", str(self.alerts), "--node", "bench"
        )
        self.workers = [self._courier("worker", "--http", "--name", f"http-{n}") for n in range(workers)]
        self.redis = self.server.client()
        wait_until(lambda: self.redis.hexists("courier:{slack}:cursor", "bench"), "the producer did not start")
        if workers:
            wait_until(lambda: self.redis.scard("_kombu.binding.courier") >= 2, "the worker did not start")
        time.sleep(1.0)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds spent so far, by part."""
        return {
            "producer": cpu_s(self.producer.pid),
            "workers": sum(cpu_s(worker.pid) for worker in self.workers),
            "server": cpu_s(self.server.pid or 0),
        }

    def _courier(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._start([sys.executable, "-m", "ops.cli.main", *arguments])

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "COURIER_REDIS_URL": self.server.url,
            "COURIER_STATE_DIR": str(self._folder / "state"),
            "COURIER_LOG_LEVEL": "warning",
            "COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS": "none",
        }
        process = subprocess.Popen(command, env=environment)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process


def measure(count: int, latency_ms: float, workers: int) -> dict[str, float]:
    """Run once. Return deliveries a second, and CPU in ms a delivery by part."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        system = System(stack, Path(folder), latency_ms=latency_ms, workers=workers)
        lines = b"".join(alerts(count))
        before, start_s = system.cpu(), time.time()
        with system.alerts.open("ab") as log:
            log.write(lines)
        wait_until(lambda: counts(system.port)["requests"] >= count, "not everything arrived")
        wait_until(lambda: not system.redis.hlen("courier:{slack}:records"), "not everything was settled")
        spent = {part: 1000 * (after - before[part]) / count for part, after in system.cpu().items()}
        arrived = counts(system.port)
        system.redis.close()
    return {
        "deliveries_per_s": count / (arrived["last_s"] - start_s),
        "repeated": arrived["requests"] - arrived["distinct"],
        **{f"{part}_cpu_ms": value for part, value in spent.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    found = measure(chosen.alerts, chosen.latency_ms, chosen.workers)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
