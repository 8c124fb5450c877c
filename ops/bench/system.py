"""The system under measurement: Redis, target, producer and workers as processes, in a temporary folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

from ops.bench.alerts import write_steadily
from ops.module_runner import module_command
from ops.standalone.embedded_redis import EmbeddedServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import redis

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
LIMIT_S: Final = 600.0
CONFIG: Final = """<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:{port}/hook</hook_url>
<alert_format>json</alert_format></integration></ossec_config>
"""
COURIER: Final = tuple(module_command("ops.cli.main"))
"""The command `courier` of this checkout."""

SETTINGS: Final = "[integrations.default]\nrate_limits = []\n"


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has spent so far (proc(5), fields utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def load() -> float:
    """Return the machine's load average of the last minute."""
    return round(os.getloadavg()[0], 1)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the given percentile of the values."""
    # "exclusive" extrapolates beyond the largest of few values
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def wait_until(ready: Callable[[], object], what: str) -> None:
    """Poll until `ready()` is true. Raises TimeoutError after LIMIT_S."""
    deadline = time.monotonic() + LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.05)


class Target:
    """`ops.bench.target` as a separate process."""

    def __init__(self, stack: ExitStack, *, latency_ms: float = 0.0) -> None:
        self.port = free_port()
        command = module_command("ops.bench.target", str(self.port), str(latency_ms))
        self._process = process = subprocess.Popen(command)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        wait_until(self._listens, "the target did not start")

    def counts(self) -> dict[str, Any]:
        """Return the counts of requests and distinct alerts, and the times of the first and last."""
        return self._get("count")

    def times(self) -> dict[str, float]:
        """Return the time of each alert's first arrival, in seconds since the epoch, by id."""
        return self._get("times")

    def taken(self) -> dict[str, int]:
        """Return the arrivals of each alert since the last call, by id."""
        return self._get("taken")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Suspend the target during the block; requests to it wait."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _listens(self) -> bool:
        try:
            return bool(self.counts())
        except OSError:
            return False

    def _get(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


class System:
    """All processes of one measurement."""

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        *,
        config: str,
        settings: str,
        latency_ms: float,
        workers: int,
        kind: str,
        quiet: bool,
        courier: Sequence[str],
    ) -> None:
        """Start everything and wait until the producer follows the log and the workers listen."""
        self._folder, self._stack, self._quiet = folder, stack, quiet
        self._kind, self._command = kind, courier
        self._arguments: dict[int, tuple[str, ...]] = {}
        self.target = Target(stack, latency_ms=latency_ms)
        self.log = folder / "alerts.json"
        self.log.touch()
        (folder / "ossec.conf").write_text(config.format(port=self.target.port))
        (folder / "courier.toml").write_text(settings.replace("{port}", str(self.target.port)))
        (folder / "courier.toml").chmod(0o600)
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        stack.callback(self.server.stop)
        self.redis = self.server.client()
        stack.callback(self.redis.close)
        self.producer = self.start(
            "producer", "--config", str(folder / "ossec.conf"), "--alerts", str(self.log), "--node", "bench"
        )
        wait_until(lambda: list(self.redis.scan_iter("courier:*:cursor")), "the producer did not start")
        self.workers = [self._worker(n) for n in range(workers)]
        wait_until(lambda: len(self._listening()) == workers, "a worker did not start")
        time.sleep(1.0)

    def append(self, lines: Iterable[bytes]) -> None:
        """Append all lines to the alert log at once."""
        with self.log.open("ab") as log:
            log.write(b"".join(lines))

    def append_steadily(self, lines: Sequence[bytes], *, per_s: float) -> list[float]:
        """Append the lines one by one at `per_s`. Return the time before each write in seconds since the epoch."""
        return write_steadily(self.log, lines, per_s=per_s)

    def add_worker(self) -> None:
        """Start another worker and wait until it listens."""
        self.workers.append(self._worker(len(self.workers)))
        wait_until(lambda: len(self._listening()) == len(self.workers), "a worker did not start")

    def recycle(self, n: int) -> tuple[int, float]:
        """Replace a worker. Return its exit status and the seconds until the replacement was started."""
        former, start_s = self.workers[n], time.monotonic()
        former.terminate()
        status = former.wait(LIMIT_S)
        self.workers[n] = self.start(*self._arguments[former.pid])
        return status, time.monotonic() - start_s

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a `courier` command with this system's Redis and settings; it is stopped with the system."""
        environment = os.environ | {
            "COURIER_REDIS_URL": self.server.url,
            "COURIER_STATE_DIR": str(self._folder / "state"),
            "COURIER_SETTINGS": str(self._folder / "courier.toml"),
            "COURIER_LOG_LEVEL": "error",
        }
        process = subprocess.Popen(
            [*self._command, *arguments],
            env=environment,
            cwd=self._folder,  # in a checkout, a process of another checkout would import that one's packages
            stderr=subprocess.DEVNULL if self._quiet else None,
        )
        self._arguments[process.pid] = arguments
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def total(self, integration_id: str, counter: str) -> int:
        """Return one of an integration's counters in the ledger."""
        value: Any = self.redis.hget(f"courier:{{{integration_id}}}:totals", counter)
        return int(value or 0)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds spent so far, by part."""
        return {
            "producer": cpu_s(self.producer.pid),
            "workers": sum(cpu_s(worker.pid) for worker in self.workers),
            "server": cpu_s(self.server.pid or 0),
        }

    def _listening(self) -> list[Any]:
        """Return the connections on which workers wait for tasks."""
        return [client for client in self.redis.client_list() if client["cmd"] == "brpop"]

    def _worker(self, n: int) -> subprocess.Popen[bytes]:
        return self.start("worker", f"--{self._kind}", "--name", f"{self._kind}-{n}")


@contextmanager
def server_alone() -> Iterator[tuple[EmbeddedServer, redis.Redis]]:
    """Run only a Redis server, in a temporary folder (TMPDIR), and yield it with a client."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        server = EmbeddedServer(Path(name))
        server.start()
        stack.callback(server.stop)
        yield server, stack.enter_context(server.client())


@contextmanager
def running(
    *,
    config: str = CONFIG,
    settings: str = SETTINGS,
    latency_ms: float = 0.0,
    workers: int = 1,
    kind: str = "http",
    quiet: bool = False,
    courier: Sequence[str] = COURIER,
) -> Iterator[System]:
    """Run a System in a temporary folder (TMPDIR). `kind` is that of its workers.

    `{port}` in `config` and `settings` is the target's port.
    `quiet` discards the processes' logs, for benchmarks that cause errors on purpose. `courier` is the command that is
    measured, for example that of another checkout.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        yield System(
            stack,
            Path(name),
            config=config,
            settings=settings,
            latency_ms=latency_ms,
            workers=workers,
            kind=kind,
            quiet=quiet,
            courier=courier,
        )
