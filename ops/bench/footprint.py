"""What waiting costs Redis: memory and CPU for each delivery that a producer commits.

    python -m ops.bench.footprint [--alerts 50000]

The alerts are those of `ops.bench.alerts`, committed 500 at once through the Ledger, as a producer does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from common.ledger import Ledger
from ops.bench.alerts import alerts
from ops.bench.system import cpu_s
from ops.embedded import EmbeddedServer

if TYPE_CHECKING:
    import redis

CHUNK: Final = 500


def commit(client: redis.Redis, lines: list[bytes]) -> None:
    """Let the alerts wait."""
    ledger = Ledger(client)
    for first in range(0, len(lines), CHUNK):
        chunk = lines[first : first + CHUNK]
        ledger.commit(
            "slack",
            node="bench",
            expected=str(first) if first else "",
            cursor=str(first + len(chunk)),
            deliveries=[(f"bench:4f2a9c:{first + n:09}", line) for n, line in enumerate(chunk)],
            max_backlog=10**9,
            max_backlog_bytes=10**12,
        )


def memory(client: redis.Redis) -> int:
    """Return the bytes that the server uses for its data."""
    info: Any = client.info("memory")
    return int(info["used_memory_dataset"])


def measure(count: int) -> dict[str, float]:
    """Return the bytes of an alert, what the server uses for one that waits, and the CPU of its commit in ms."""
    lines = [line.rstrip() for line in alerts(count)]
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            with server.client() as client:
                empty, idle_s = memory(client), cpu_s(server.pid or 0)
                commit(client, lines)
                used, busy_s = memory(client) - empty, cpu_s(server.pid or 0) - idle_s
        finally:
            server.stop()
    alert_bytes = sum(map(len, lines)) / count
    return {
        "alert_bytes": alert_bytes,
        "waiting_bytes": used / count,
        "ratio": used / count / alert_bytes,
        "commit_cpu_ms": 1000 * busy_s / count,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=50_000)
    print(json.dumps({name: round(value, 3) for name, value in measure(parser.parse_args().alerts).items()}))


if __name__ == "__main__":
    main()
