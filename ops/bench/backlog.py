"""What a long backlog costs: the ledger's operations with few and with many deliveries waiting.

    python -m ops.bench.backlog [--small 1000] [--large 1000000] [--rounds 9]

Both backlogs are in one server and are measured in turns. A measurement is `release`, `begin` and `settle` of a
thousand deliveries in batches, through the Ledger, without network or Celery, and the commit of as many new ones. Then
it measures a `release` that releases nothing, because a limit is used up, an operator paused or a breaker is open.

The alerts have 1.4 KB, so a million of them takes 1.7 GB of memory and as much of the disk (TMPDIR). The server does
not rewrite its append-only file meanwhile, because that would slow down a random turn. Exits with 1 if a delivery of
the large backlog costs more than 1.2 times one of the small.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Final

from common.ledger import Begin, Breaker, Header, Ledger, Limits, Release, Settle, Settlement, SettleOutcome
from common.settings.rate_limit import parse_rate_limit
from ops.bench.alerts import alert
from ops.bench.report import Figure, report
from ops.bench.system import server_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.ledger import Delivery

LARGEST_RATIO: Final = 1.2
CHUNK: Final = 500
WORKER: Final = "bench"
ALERT: Final = alert(0).rstrip()
BREAKER: Final = Breaker(failures=10, ratio=50, samples=20)
FREE: Final = Limits(target="free", breaker=BREAKER, rate_limits=(parse_rate_limit("1000000/s"),))
SPENT: Final = Limits(target="spent", breaker=BREAKER, rate_limits=tuple(map(parse_rate_limit, ("100/s", "4/h"))))


class Backlog:
    """One integration with `size` deliveries waiting."""

    def __init__(self, ledger: Ledger, name: str, size: int) -> None:
        self._ledger, self.name, self._written, self._cursor = ledger, name, 0, ""
        self.commit(size)

    def commit(self, count: int) -> None:
        """Commit `count` more deliveries, in chunks of CHUNK."""
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

    def release(self, pace: Limits) -> list[list[str]]:
        """Release one batch and return its task messages."""
        terms = Release(max_in_flight=512, batch_max=64, lease_s=60, linger_s=0, limits=pace)
        return self._ledger.release_all({self.name: terms}).get(self.name, [])

    def begin(self, ids: Sequence[str]) -> list[Delivery]:
        """Take the leases of released deliveries."""
        return self._ledger.begin_all({self.name: Begin(ids=ids, lease_s=60, limits=FREE)}, token=WORKER)[self.name]

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record the outcomes of begun deliveries."""
        self._ledger.settle_all({self.name: Settle(settlements=settlements, limits=FREE)}, token=WORKER)

    def turn_over(self, count: int) -> float:
        """Deliver `count` deliveries, commit as many new ones and return the ms for each."""
        done, start_s = 0, time.perf_counter()
        while done < count:
            for ids in self.release(FREE):
                begun = self.begin(ids)
                settlements = [Settlement(id=one.id, outcome=SettleOutcome.DELIVERED) for one in begun]
                self.settle(settlements)
                done += len(settlements)
        self.commit(done)
        return 1000 * (time.perf_counter() - start_s) / done

    def idle(self, pace: Limits, times: int = 500) -> float:
        """Return the ms of a release that releases nothing. Raises RuntimeError if it does."""
        start_s = time.perf_counter()
        for _ in range(times):
            if self.release(pace):
                raise RuntimeError("a delivery was released in spite of the limit")
        return 1000 * (time.perf_counter() - start_s) / times

    def open_breaker(self) -> None:
        """Fail deliveries until the breaker opens."""
        for ids in self.release(FREE):
            for one in self.begin(ids):
                failed = Settlement(
                    id=one.id,
                    outcome=SettleOutcome.RETRY,
                    reason="http_5xx",
                    delay_ms=1000,
                    header=Header(committed_ms=1),
                )
                self.settle([failed])


def measure(ledger: Ledger, small: int, large: int, rounds: int) -> list[Figure]:
    """Return the ms of a delivery with few and with many waiting, their ratio, and the ms of idle releases."""
    few, many = Backlog(ledger, "few", small), Backlog(ledger, "many", large)
    count = max(1, min(small, 4000))
    costs: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        both = few.turn_over(count), many.turn_over(count)
        if number:  # the first round is a warm-up
            costs.append(both)
    return [
        Figure("few_ms", tuple(one for one, _ in costs)),
        Figure("many_ms", tuple(one for _, one in costs), "less"),
        Figure("ratio", tuple(large_ms / small_ms for small_ms, large_ms in costs), "less", LARGEST_RATIO),
        *_idle(ledger, few, many, rounds),
    ]


def _idle(ledger: Ledger, few: Backlog, many: Backlog, rounds: int) -> list[Figure]:
    def both(what: str, prepare: Callable[[Backlog], object], pace: Limits) -> list[Figure]:
        for backlog in (few, many):
            prepare(backlog)
        costs = [(few.idle(pace), many.idle(pace)) for _ in range(rounds)]
        return [
            Figure(f"idle_{what}_few_ms", tuple(one for one, _ in costs)),
            Figure(f"idle_{what}_many_ms", tuple(one for _, one in costs), "less"),
        ]

    return [
        *both("limited", lambda backlog: backlog.release(SPENT), SPENT),
        *both("breaker", lambda backlog: backlog.open_breaker(), FREE),
        *both("paused", lambda backlog: ledger.pause(backlog.name), FREE),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    with server_alone() as (_, client):
        client.config_set("auto-aof-rewrite-percentage", 0)
        figures = measure(Ledger(client), chosen.small, chosen.large, chosen.rounds)
    about = f"{chosen.large} waiting and {chosen.small}, {chosen.rounds} rounds"
    sys.exit(report("backlog", figures, about=about))


if __name__ == "__main__":
    main()
