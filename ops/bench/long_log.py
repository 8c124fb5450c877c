"""The producer's cost of a delivery at the end of a log of 10 GB, compared with a new log.

The long log consists of repeated alerts. The producer starts at its end and commits the appended alerts. Then it
restarts after more alerts were appended, and must find its cursor without reading the log from the beginning.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.bench.alerts import alerts
from ops.bench.memory import FIRST, producer, write_log
from ops.bench.report import Figure
from ops.bench.system import cpu_s, wait_until
from ops.standalone.embedded_redis import EmbeddedServer

if TYPE_CHECKING:
    import redis

LARGEST_RATIO: Final = 1.2
MOST_READ_MIB: Final = 64
"""What a start may read in addition to the alerts, including Python's modules: far less than 10 GB."""

CONFIG: Final = """<ossec_config><integration><name>slack</name><hook_url>http://127.0.0.1:1/hook</hook_url>
<level>10</level><alert_format>json</alert_format></integration></ossec_config>
"""
SETTINGS: Final = '[integrations.default]\nstart_at = "end"\n'


class Log:
    """One alert log in its own folder, followed by its own producer."""

    def __init__(self, folder: Path, server: EmbeddedServer, client: redis.Redis) -> None:
        folder.mkdir()
        self._folder, self._server, self._client = folder, server, client
        self.path = folder / "alerts.json"

    def round(self, count: int) -> dict[str, float]:
        """Commit `count` alerts, then as many after a restart. Return ms of CPU for each, seconds and MiB read."""
        self._client.flushall()
        lines = b"".join(alerts(count))
        with producer(self._folder, self._server, config=CONFIG, settings=SETTINGS) as process:
            wait_until(lambda: self._client.exists("courier:{slack}:cursor"), "the producer did not start")
            before_s = cpu_s(process.pid)
            self._append(lines)
            self._await(count)
            spent_s = cpu_s(process.pid) - before_s
        self._append(lines)
        start_s = time.perf_counter()
        with producer(self._folder, self._server, config=CONFIG, settings=SETTINGS) as process:
            self._await(2 * count)
            again_s, read = time.perf_counter() - start_s, _read_bytes(process.pid) - len(lines)
        return {"cpu_ms": 1000 * spent_s / count, "restart_s": again_s, "restart_read_mib": read / 1024**2}

    def _append(self, lines: bytes) -> None:
        with self.path.open("ab") as log:
            log.write(lines)

    def _await(self, committed: int) -> None:
        def all_committed() -> bool:
            held: Any = self._client.hget("courier:{slack}:totals", "committed")
            return int(held or 0) >= committed

        wait_until(all_committed, "not everything was committed")


def _read_bytes(pid: int) -> int:
    """Return the bytes that a process has read so far, cached or not (proc(5), io, rchar)."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def measure(gigabytes: float, count: int, rounds: int) -> list[Figure]:
    """Return the cost at the end of both logs and their ratios."""
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name) / "redis")
        server.start()
        try:
            with server.client() as client:
                short, long = (Log(Path(name) / length, server, client) for length in ("short", "long"))
                write_log(long.path, round(gigabytes * 1e9))
                found = []
                for _ in range(rounds):
                    short.path.write_bytes(FIRST)
                    found.append((short.round(count), long.round(count)))
        finally:
            server.stop()
    return [
        Figure("short_log_cpu_ms", tuple(one["cpu_ms"] for one, _ in found)),
        Figure("long_log_cpu_ms", tuple(one["cpu_ms"] for _, one in found), "less"),
        _ratio("ratio_long_log", "cpu_ms", found),
        Figure("short_log_restart_s", tuple(one["restart_s"] for one, _ in found)),
        Figure("long_log_restart_s", tuple(one["restart_s"] for _, one in found), "less"),
        _ratio("ratio_long_log_restart", "restart_s", found),
        Figure("long_log_restart_read_mib", tuple(one["restart_read_mib"] for _, one in found), "less", MOST_READ_MIB),
    ]


def _ratio(name: str, what: str, found: list[tuple[dict[str, float], dict[str, float]]]) -> Figure:
    return Figure(name, tuple(long[what] / short[what] for short, long in found), "less", LARGEST_RATIO)
