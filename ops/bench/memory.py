"""The memory of a producer that reads a long alert log of which nothing matches.

    python -m ops.bench.memory [--gib 5] [--rounds 1]

Writes the log in a temporary folder (TMPDIR), lets `courier producer` read it from its beginning and reports the peak
of its resident memory. The reference is a Python process that only loads the producer's modules. One round is enough:
a leak shows within it. Exits with 1 if the peak is above the goal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.module_runner import module_command
from ops.standalone.embedded_redis import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

GIB: Final = 1024**3
PEAK_GOAL_MIB: Final = 80e6 / 1024**2
"""80 MB."""

DISTINCT: Final = 2000
"""The number of different alerts; the log repeats them, as the producer keeps nothing of alerts without a match."""

FIRST: Final = b'{"timestamp":"2026-01-31T08:00:00.000+0000","rule":{"level":3,"id":"1"},"id":"0.0"}\n'
CONFIG: Final = """<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:1/hook</hook_url>
<level>16</level><alert_format>json</alert_format></integration></ossec_config>
"""
SETTINGS: Final = '[integrations.default]\nstart_at = "beginning"\n'


def peak_kib(pid: int) -> int:
    """Return the peak of a process's resident memory in KiB (proc(5), VmHWM)."""
    return _peak_kib(Path(f"/proc/{pid}/status").read_text())


def _peak_kib(status: str) -> int:
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def write_log(path: Path, size: int) -> int:
    """Write alerts until the file has about `size` bytes. Return how many it has."""
    block = b"".join(alerts(DISTINCT))
    with path.open("wb") as log:
        log.write(FIRST)
        log.writelines(islice(cycle([block]), max(1, size // len(block))))
        return log.tell()


@contextmanager
def producer(
    folder: Path, server: EmbeddedServer, *, config: str = CONFIG, settings: str = SETTINGS
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the producer for the log in this folder."""
    (folder / "ossec.conf").write_text(config)
    (folder / "courier.toml").write_text(settings)
    (folder / "courier.toml").chmod(0o600)
    environment = os.environ | {
        "COURIER_REDIS_URL": server.url,
        "COURIER_STATE_DIR": str(folder / "state"),
        "COURIER_SETTINGS": str(folder / "courier.toml"),
        "COURIER_LOG_LEVEL": "warning",
    }
    files = ("--config", str(folder / "ossec.conf"), "--alerts", str(folder / "alerts.json"), "--node", "bench")
    process = subprocess.Popen(module_command("ops.cli.main", "producer", *files), env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def has_read(client: redis.Redis, size: int) -> bool:
    """Return whether the producer's cursor is at byte `size` of the log."""
    cursor: Any = client.hget("courier:{slack}:cursor", "bench")
    return bool(cursor) and cursor.split(b":")[1] == b"%d" % size


def modules_mib() -> float:
    """Return the peak memory of a process that loads the producer's modules, in MiB."""
    code = "import producer.main, pathlib; print(pathlib.Path('/proc/self/status').read_text())"
    status = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return _peak_kib(status) / 1024


def measure(gib: float) -> dict[str, float]:
    """Read a log of this size. Return its size, the peaks in MiB, their ratio and how long it took."""
    reference_mib = modules_mib()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_log(folder / "alerts.json", round(gib * GIB))
        server = EmbeddedServer(folder / "redis")
        server.start()
        try:
            with server.client() as client, producer(folder, server) as process:
                start_s = time.monotonic()
                while not has_read(client, size):
                    time.sleep(0.1)
                    if process.poll() is not None:
                        raise SystemExit("the producer ended")
                took_s = time.monotonic() - start_s
                peak_mib = peak_kib(process.pid) / 1024
        finally:
            server.stop()
    return {
        "log_gib": size / GIB,
        "seconds": took_s,
        "peak_mib": peak_mib,
        "modules_mib": reference_mib,
        "ratio_to_modules": peak_mib / reference_mib,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    found = [measure(chosen.gib) for _ in range(chosen.rounds)]

    def values(name: str) -> tuple[float, ...]:
        return tuple(one[name] for one in found)

    figures = [
        Figure("log_gib", values("log_gib")),
        Figure("seconds", values("seconds"), "less"),
        Figure("peak_mib", values("peak_mib"), "less", PEAK_GOAL_MIB),
        Figure("modules_mib", values("modules_mib")),
        Figure("ratio_to_modules", values("ratio_to_modules"), "less"),
    ]
    sys.exit(report("memory", figures, about=f"a log of {chosen.gib:g} GiB, nothing matches, {chosen.rounds} rounds"))


if __name__ == "__main__":
    main()
