"""The whole system as real processes that a test can kill: Redis, producer, workers and a counting target."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ops.bench import system
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.crashes import crash, pause
from tests.support.processes import Courier, Manager

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

PAUSED_MS = 60_000
LEASES, RECORDS, TOTALS = (f"courier:{{slack}}:{part}" for part in ("leases", "records", "totals"))


class Target(system.Target):
    """The target of the benchmarks, which also counts by the number of an alert."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def distinct(self) -> int:
        """Return how many alerts have arrived."""
        return int(self.counts()["distinct"])

    def numbers(self) -> Counter[int]:
        """Return the arrivals of each alert, by its number."""
        return Counter({int(name.partition(".")[2]): count for name, count in self._get("ids").items()})


class Fleet:
    """All processes; `at_risk` counts deliveries that faults may have caused to be sent twice.

    `way_to` is given the server's port and returns the one through which the workers, and with `producer_too` the
    producer, reach it. `settings` are further COURIER_* variables.
    """

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        *,
        latency_ms: float,
        workers: int = 2,
        way_to: Callable[[int], int] = lambda port: port,
        producer_too: bool = False,
        **settings: str,
    ) -> None:
        self._folder, self._settings = folder, settings
        self.target = Target(stack, latency_ms=latency_ms)
        self.manager = Manager(folder, self.target)
        self.server = EmbeddedServer(folder / "redis")
        self.server.start()
        stack.callback(self.server.stop)
        self._workers_port = way_to(self.server.port)
        producer_port = self._workers_port if producer_too else self.server.port
        self.producer = self._courier(producer_port, "producer", *self.manager.files(), "--node", "wazuh-1")
        self.workers: list[Courier] = []
        for _ in range(workers):
            self.add_worker()
        self.ended: list[int] = []
        self.at_risk = self.forgotten = self.worker_kills = self.server_kills = 0
        stack.callback(self._stop)

    # -- state

    def totals(self) -> dict[str, int]:
        """Return the ledger's counters."""
        return _totals(self.server)

    def held(self) -> int:
        """Return the number of deliveries that workers have begun."""
        with self.server.client() as client:
            return int(client.hlen(LEASES))

    def records(self) -> int:
        """Return the number of deliveries that are not settled."""
        with self.server.client() as client:
            return int(client.hlen(RECORDS))

    def wait_for(self, what: Callable[[], bool], *, limit_s: float) -> float:
        """Wait until `what()` is true; restart processes that exit. Return the seconds that it took."""
        began_s = time.monotonic()
        while not what():
            if time.monotonic() > began_s + limit_s:
                raise AssertionError(f"not within {limit_s} s; {self.target.distinct()} alerts have arrived")
            self.revive()
            pause(0.05)
        return time.monotonic() - began_s

    def fresh_alert_s(self, *, limit_s: float) -> float:
        """Write one alert and return the seconds until it arrives at the target."""
        number = self.manager.written
        self.manager.append(1)
        return self.wait_for(lambda: bool(self.target.numbers()[number]), limit_s=limit_s)

    def environment(self, port: int) -> dict[str, str]:
        """Return the environment of a process that reaches the server through this port."""
        return dict(os.environ) | self._variables(port)

    # -- actions and faults

    def add_worker(self) -> None:
        """Start another worker."""
        self.workers.append(self._worker(len(self.workers)))

    def revive(self) -> None:
        """Restart workers that have exited, as their supervisor would."""
        for n, worker in enumerate(self.workers):
            status = worker.process.poll()
            if status is not None:
                self.ended.append(status)
                self.workers[n] = self._worker(n)

    def kill_worker(self, n: int) -> None:
        """Kill a worker and restart it; SIGSTOP comes first, so that its begun deliveries can be counted."""
        worker = self.workers[n].process
        worker.send_signal(signal.SIGSTOP)
        with self.server.client() as client:
            client.ping()  # commands that it had sent are complete before this response
            tokens: list[Any] = client.hvals(LEASES)
        self.at_risk += sum(_pid_of(token) == worker.pid for token in tokens)
        worker.kill()
        worker.wait()
        self.worker_kills += 1
        self.workers[n] = self._worker(n)

    def crash_server(self, *, forgets_s: float) -> None:
        """Kill the server with data loss and restart it; count begun deliveries and lost settlements."""
        before: dict[str, int] = {}

        def check_queue() -> None:
            with self.server.client() as client:
                client.client_pause(PAUSED_MS, all=False)
            before.update(self.totals(), held=self.held())

        crash(self.server, forgets_s=forgets_s, just_before=check_queue)
        # No process uses this port, so the counts do not change meanwhile.
        other = EmbeddedServer(self.server.directory, password=self.server.password)
        other.start()
        forgotten = before["delivered"] - _totals(other).get("delivered", 0)
        other.stop()
        self.server.start()
        self.at_risk += before["held"] + forgotten
        self.forgotten += forgotten
        self.server_kills += 1

    def _worker(self, n: int) -> Courier:
        return self._courier(self._workers_port, "worker", "--http", "--name", f"http-{n}")

    def _courier(self, port: int, *arguments: str) -> Courier:
        return Courier(self._folder, *arguments, **self._variables(port))

    def _variables(self, port: int) -> dict[str, str]:
        return {
            "COURIER_REDIS_URL": f"redis://:{self.server.password}@127.0.0.1:{port}/0",
            "COURIER_STATE_DIR": str(self.manager.state),
            "COURIER_INTEGRATIONS_DEFAULT_START_AT": "beginning",
        } | self._settings

    def _stop(self) -> None:
        for courier in (self.producer, *self.workers):
            courier.process.kill()
            courier.process.wait()


def _totals(server: EmbeddedServer) -> dict[str, int]:
    with server.client() as client:
        found: dict[bytes, bytes] = client.hgetall(TOTALS)
    return {"delivered": 0} | {name.decode(): int(value) for name, value in found.items()}


def _pid_of(token: bytes) -> int:
    """Return the process id in a lease's token (see workers.process_identity)."""
    return int(token.partition(b":")[0].split(b"-")[2])
