"""The memory of Redis for each waiting delivery, by the size of the alert and the number of integrations.

    python -m ops.bench.footprint [--alerts 20000] [--rounds 5]

The alerts are those of `ops.bench.alerts`, 1.4 KB, then cut to 700 bytes (of realistic ones 5 % are smaller than 780)
and stretched to 8 KB. They are committed 500 at once through the Ledger, with ids as long as a producer's. In
addition to the alert, a delivery needs about 240 bytes: the id twice (records, waiting), the header, and the overhead
of Redis. Each matching integration stores its own copy, because it settles, replays and buries it independently.

Why the ledger compresses nothing: of realistic alerts (1.5 KB in the mean) zlib leaves 53 % at level 1 and 51 % at
level 6, for 19 and 23 microseconds of CPU an alert. A commit costs 9, of producer and server together, so a core would
commit a third of what it does now, to halve a memory that `max_backlog_bytes` bounds anyway. A dictionary of known
alerts leaves 19 %, but losing the dictionary loses every alert, and alerts in Redis would no longer be readable.

Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from common.ledger import Ledger
from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import cpu_s, server_alone

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

RATIO_GOAL: Final = 1.3
"""Bytes in the ledger for each byte of a waiting alert of usual size."""

CHUNK: Final = 500
FILE: Final = "wazuh-1:697db7c00123456789ab"
FILLING: Final = b"y" * 1000
"""Part of each alert of `ops.bench.alerts`."""

SMALL_BYTES: Final = 700
LARGE_BYTES: Final = 8000
SEVERAL: Final = ("slack", "pagerduty", "shuffle")


def commit(client: redis.Redis, lines: list[bytes], integration_ids: Sequence[str]) -> None:
    """Commit the alerts for these integrations."""
    ledger = Ledger(client)
    for first in range(0, len(lines), CHUNK):
        chunk = lines[first : first + CHUNK]
        for integration_id in integration_ids:
            ledger.commit(
                integration_id,
                node="wazuh-1",
                expected=str(first) if first else "",
                cursor=str(first + len(chunk)),
                deliveries=[(f"{FILE}:{first + n:010x}:{crc32(line):08x}", line) for n, line in enumerate(chunk)],
                max_backlog=10**9,
                max_backlog_bytes=10**12,
            )


def sized(line: bytes, size: int) -> bytes:
    """Return an alert with more or less filling, so that it has about `size` bytes."""
    return line.replace(FILLING, b"y" * (size - len(line) + len(FILLING)))


def memory(client: redis.Redis) -> int:
    """Return the bytes that the server uses for its data; negative values are possible after FLUSHALL."""
    info: Any = client.info("memory")
    used: int = info["used_memory_dataset"]
    return used - 2**64 if used >= 2**63 else used  # Redis reports a difference as an unsigned number


def waiting(
    server: EmbeddedServer, client: redis.Redis, lines: list[bytes], integration_ids: Sequence[str] = ("slack",)
) -> tuple[float, float]:
    """Return the bytes of one waiting delivery, and the server's CPU for its commit in ms."""
    pid = server.pid or 0
    client.execute_command("FLUSHALL", "SYNC")  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    empty, idle_s = memory(client), cpu_s(pid)
    commit(client, lines, integration_ids)
    deliveries = len(lines) * len(integration_ids)
    return (memory(client) - empty) / deliveries, 1000 * (cpu_s(pid) - idle_s) / deliveries


def once(server: EmbeddedServer, client: redis.Redis, count: int) -> dict[str, float]:
    """Measure every case."""
    usual = [line.rstrip() for line in alerts(count)]
    alert_bytes = sum(map(len, usual)) / count
    waiting(server, client, usual[:CHUNK])  # loads the scripts and allocates the buffers of the connection
    used, commit_cpu_ms = waiting(server, client, usual)
    small, _ = waiting(server, client, [sized(line, SMALL_BYTES) for line in usual])
    large, _ = waiting(server, client, [sized(line, LARGE_BYTES) for line in usual])
    several, _ = waiting(server, client, usual[: count // len(SEVERAL)], SEVERAL)
    return {
        "alert_bytes": alert_bytes,
        "waiting_bytes": used,
        "ratio": used / alert_bytes,
        "ratio_3_integrations": several / alert_bytes,
        "ratio_700_bytes": small / SMALL_BYTES,
        "ratio_8000_bytes": large / LARGE_BYTES,
        "commit_cpu_ms": commit_cpu_ms,
    }


def measure(count: int, rounds: int) -> list[Figure]:
    """Return every figure, each measured `rounds` times."""
    with server_alone() as (server, client):
        found = [once(server, client, count) for _ in range(rounds)]
    goals = {"ratio": RATIO_GOAL, "ratio_3_integrations": RATIO_GOAL}
    return [
        Figure(name, tuple(one[name] for one in found), "neither" if name == "alert_bytes" else "less", goals.get(name))
        for name in found[0]
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    figures = measure(chosen.alerts, chosen.rounds)
    sys.exit(report("footprint", figures, about=f"{chosen.alerts} alerts, {chosen.rounds} rounds"))


if __name__ == "__main__":
    main()
