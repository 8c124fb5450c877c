"""What a long backlog costs: the moves of the ledger with few and with many deliveries waiting.

    python -m ops.bench.backlog [--small 1000] [--large 500000] [--rounds 7]

Both backlogs stand in one server and are measured in turns. A measurement is `release`, `begin` and `settle` of a few
thousand deliveries in batches, through the Ledger, without network or Celery; as many are committed again beforehand.
Then what a release costs that may not release, since a limit is spent, an operator paused or a breaker is open.
Exits with 1 if a delivery of the large backlog costs more than 1.2 times one of the small.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from common.ledger import Breaker, Header, Ledger, Pace, Settlement
from common.rate_limit import parse_rate_limit
from ops.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_RATIO: Final = 1.2
CHUNK: Final = 500
WORKER: Final = "bench"
ALERT: Final = b'{"rule":{"level":10,"id":"5712"},"full_log":"' + b"y" * 400 + b'"}'
BREAKER: Final = Breaker(failures=10, ratio=50, samples=20)
FREE: Final = Pace(target="free", breaker=BREAKER, limits=(parse_rate_limit("1000000/s"),))
SPENT: Final = Pace(target="spent", breaker=BREAKER, limits=tuple(map(parse_rate_limit, ("100/s", "4/h"))))


class Backlog:
    """One integration with so many deliveries waiting."""

    def __init__(self, ledger: Ledger, name: str, size: int) -> None:
        self._ledger, self.name, self._written, self._cursor = ledger, name, 0, ""
        self.commit(size)

    def commit(self, count: int) -> None:
        """Let so many more wait."""
        while count:
            chunk = min(count, CHUNK)
            ids = range(self._written, self._written + chunk)
            cursor = str(self._written + chunk)
            self._ledger.commit(
                self.name,
                node="n",
                expected=self._cursor,
                cursor=cursor,
                deliveries=[(f"wazuh-1:4f2a9c:{n:09}", ALERT) for n in ids],
                max_backlog=10**9,
                max_backlog_bytes=10**12,
            )
            self._written, self._cursor, count = self._written + chunk, cursor, count - chunk

    def release(self, pace: Pace) -> list[list[str]]:
        """Release a batch."""
        return self._ledger.release(self.name, max_in_flight=512, batch_max=64, lease_s=60, linger_s=0, pace=pace)

    def deliver(self, count: int) -> float:
        """Deliver so many and return the ms that one took."""
        done, start_s = 0, time.perf_counter()
        while done < count:
            for ids in self.release(FREE):
                begun = self._ledger.begin(self.name, ids, token=WORKER, lease_s=60, pace=FREE)
                settlements = [Settlement(id=one.id, outcome="delivered") for one in begun]
                done += self._ledger.settle(self.name, settlements, token=WORKER, pace=FREE).count
        return 1000 * (time.perf_counter() - start_s) / done

    def idle(self, pace: Pace, times: int = 2000) -> float:
        """Return the ms that a release takes which may not release."""
        start_s = time.perf_counter()
        for _ in range(times):
            if self.release(pace):
                raise RuntimeError("something was released that should have waited")
        return 1000 * (time.perf_counter() - start_s) / times

    def open_breaker(self) -> None:
        """Let deliveries fail until the breaker opens."""
        for ids in self.release(FREE):
            for one in self._ledger.begin(self.name, ids, token=WORKER, lease_s=60, pace=FREE):
                failed = Settlement(
                    id=one.id, outcome="retry", reason="server", delay_ms=1000, header=Header(committed_ms=1)
                )
                self._ledger.settle(self.name, [failed], token=WORKER, pace=FREE)


def measure(ledger: Ledger, small: int, large: int, rounds: int) -> dict[str, float]:
    """Return the medians in ms a delivery, their ratio, and what idle releases of the large backlog cost in ms."""
    few, many = Backlog(ledger, "few", small), Backlog(ledger, "many", large)
    count = max(1, min(small, 4000))
    costs: dict[str, list[float]] = {"few": [], "many": []}
    for _ in range(rounds):
        for backlog in (few, many):
            backlog.deliver(count)
            backlog.commit(count)
            costs[backlog.name].append(backlog.deliver(count))
            backlog.commit(count)
    found = {f"{name}_ms": median(values) for name, values in costs.items()}
    return found | {"ratio": found["many_ms"] / found["few_ms"]} | _idle(ledger, few, many, rounds)


def _idle(ledger: Ledger, few: Backlog, many: Backlog, rounds: int) -> dict[str, float]:
    def both(what: str, prepare: Callable[[Backlog], object], pace: Pace) -> dict[str, float]:
        for backlog in (few, many):
            prepare(backlog)
        costs = [(few.idle(pace), many.idle(pace)) for _ in range(rounds)]
        return {f"idle_{what}_few_ms": median(a for a, _ in costs), f"idle_{what}_many_ms": median(b for _, b in costs)}

    found = both("limited", lambda backlog: backlog.release(SPENT), SPENT)
    found |= both("breaker", lambda backlog: backlog.open_breaker(), FREE)
    return found | both("paused", lambda backlog: ledger.pause(backlog.name), FREE)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            with server.client() as client:
                found = measure(Ledger(client), chosen.small, chosen.large, chosen.rounds)
        finally:
            server.stop()
    print(json.dumps({name: round(value, 4) for name, value in found.items()}, indent=2))
    sys.exit(int(found["ratio"] > LARGEST_RATIO))


if __name__ == "__main__":
    main()
