"""What runs beside the deliveries: Flower at 500 alerts/s, and `courier up` while no alert is written."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis

from ops.bench.alerts import alert
from ops.bench.process_tree import usage
from ops.bench.regimes import Courier, Meter, regime
from ops.bench.system import CONFIG, SETTINGS, Target, running, wait_until
from ops.standalone.embedded_redis import free_port, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ops.bench.steady.figures import Found
    from ops.bench.system import System

RATE: Final = regime("500")
IDLE_S: Final = 30.0
CALM_S: Final = 10.0
"""From the last thing that happened until the processes count as idle."""


class FlowerMeter:
    """A running System with Flower."""

    def __init__(self, system: System) -> None:
        """Start Flower and wait until it listens."""
        port = free_port()
        self._pid = system.start("flower", "--flower-port", str(port)).pid
        self._meter = Meter(Courier(system))
        wait_until(lambda: not is_free("127.0.0.1", port), "Flower did not start")

    def measure(self, seconds: float) -> dict[str, float]:
        """Return the CPU of Flower while alerts arrive, in percent of a core."""
        before_s, start_s = usage([self._pid]).cpu_s, time.monotonic()
        self._meter.measure(RATE, seconds=seconds, flood=0)
        return {"percent": 100 * (usage([self._pid]).cpu_s - before_s) / (time.monotonic() - start_s)}


def flower(commands: Mapping[str, Sequence[str]], seconds: float, rounds: int) -> Found:
    """Measure Flower in turns."""
    with ExitStack() as stack:
        meters = {
            name: FlowerMeter(stack.enter_context(running(courier=command))) for name, command in commands.items()
        }
        for meter in meters.values():
            meter.measure(2.0)
        time.sleep(CALM_S)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in meters}
        for _ in range(rounds):
            for name, meter in meters.items():
                found[name].append(meter.measure(seconds))
    return {"flower": found}


def idle(commands: Mapping[str, Sequence[str]], rounds: int) -> Found:
    """Start `courier up` of each, one after the other, and measure how they idle in the same seconds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        with ExitStack() as stack:
            started = {name: stack.enter_context(up(command)) for name, command in commands.items()}
            time.sleep(CALM_S)
            before, start_s = {name: usage([pid]) for name, (pid, _) in started.items()}, time.monotonic()
            time.sleep(IDLE_S)
            took_s = time.monotonic() - start_s
            for name, (pid, start) in started.items():
                now = usage([pid])
                percent = 100 * (now.cpu_s - before[name].cpu_s) / took_s
                found[name].append({"percent": percent, "mb": now.memory_mb, **start})
    return {"idle": found}


@contextmanager
def up(command: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """Run `courier up` with a log that holds one alert. Yield its process id, and what it took to read and send it.

    Times are in seconds from the start of the command.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, target = Path(name), Target(stack)
        (folder / "alerts.json").write_bytes(alert(0))
        (folder / "ossec.conf").write_text(CONFIG.format(port=target.port))
        (folder / "courier.toml").write_text(f'{SETTINGS}start_at = "beginning"\n')
        (folder / "courier.toml").chmod(0o600)
        environment = os.environ | {"COURIER_SETTINGS": str(folder / "courier.toml"), "COURIER_LOG_LEVEL": "error"}
        files = {"config": "ossec.conf", "alerts": "alerts.json", "state": "state"}
        options = [part for option, file in files.items() for part in (f"--{option}", str(folder / file))]
        start_s = time.monotonic()
        process = subprocess.Popen(
            [*command, "up", *options, "--node", "bench", "--flower-port", "0"], env=environment, cwd=folder
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until(lambda: _has_read(folder / "state" / "redis.url"), "the log was not read")
        read_s = time.monotonic() - start_s
        wait_until(lambda: target.counts()["requests"], "the alert was not sent")
        yield process.pid, {"read_s": read_s, "sent_s": time.monotonic() - start_s}


def _has_read(address: Path) -> bool:
    try:
        with redis.Redis.from_url(address.read_text().strip()) as client:
            committed: Any = client.hget("courier:{slack}:totals", "committed")
            return committed is not None
    except (FileNotFoundError, ValueError, redis.RedisError):  # it has not started yet
        return False
