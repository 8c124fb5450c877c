"""What the console costs while many people look at it: its CPU with 50 open overviews of 20 busy integrations.

    python -m ops.bench.open_pages [--pages 50] [--integrations 20] [--seconds 30] [--rounds 3]

Each integration has a history of 200 deliveries and delivers 5 more a second, so that every tile changes with each
update. A page is a connection that reads `/live/overview` to the end. `percent_alone` is the console without a page: it
reads the counters every ten seconds. Exits with 1 if the pages cost more than 5 % of a core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from common.ledger import Ledger, Settlement, SettleOutcome
from ops.bench.backlog import FREE, Backlog
from ops.bench.report import Figure, report
from ops.bench.system import COURIER, cpu_s, server_alone, wait_until
from ops.standalone.embedded_redis import free_port
from workers.delivery.history_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

PERCENT_GOAL: Final = 5.0
HISTORY: Final = 200
A_SECOND: Final = 5


class Integration(Backlog):
    """An integration that delivers, and whose history says so."""

    def deliver(self, count: int) -> None:
        """Commit and deliver `count` alerts."""
        self.commit(count)
        while batches := self.release(FREE):
            for ids in batches:
                begun = self.begin(ids)
                ends = [(one, Settlement(id=one.id, outcome=SettleOutcome.DELIVERED)) for one in begun]
                facts = [(end, facts_of(one, end, worker="http@bench", attempt_ms=40)) for one, end in ends]
                settled = [Settlement(id=end.id, outcome=end.outcome, facts=what) for end, what in facts]
                self.settle(settled)


class Pages:
    """Open pages of the console at `port`. `updates` counts those of all."""

    def __init__(self, port: int, number: int) -> None:
        self.updates = 0
        self._port = port
        self.threads = [threading.Thread(target=self._follow, daemon=True) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def _follow(self) -> None:
        address = f"127.0.0.1:{self._port}"
        with suppress(OSError), urllib.request.urlopen(f"http://{address}/live/overview", timeout=60) as stream:
            for line in stream:  # ends with the console
                self.updates += line.startswith(b"data:")  # else a heartbeat


def measure(pages: int, integrations: int, seconds: float, rounds: int) -> list[Figure]:
    """Return the console's CPU in % of a core, without a page and with `pages` of them, and the updates of each."""
    with server_alone() as (server, client), ExitStack() as stack:
        busy = _integrations(client, integrations)
        port = free_port()
        command = [*COURIER, "console", "--console-port", str(port)]
        console = subprocess.Popen(command, env=os.environ | {"COURIER_REDIS_URL": server.url})
        stack.callback(console.wait)
        stack.callback(console.terminate)
        wait_until(lambda: _responds(port), "the console did not start")
        alone = tuple(_percent(console.pid, busy, seconds) for _ in range(rounds))
        watching = Pages(port, pages)
        wait_until(lambda: watching.updates >= pages, "the pages did not open")
        before, open_s = watching.updates, time.monotonic()
        costs = tuple(_percent(console.pid, busy, seconds) for _ in range(rounds))
        updates = (watching.updates - before) / pages / (time.monotonic() - open_s)
        if not all(thread.is_alive() for thread in watching.threads):
            raise RuntimeError("a page was closed")
    return [
        Figure("percent_of_a_core", costs, "less", PERCENT_GOAL),
        Figure("percent_alone", alone),
        Figure("updates_a_page_per_s", (updates,)),
    ]


def _integrations(client: redis.Redis, number: int) -> list[Integration]:
    ledger = Ledger(client)
    made = [Integration(ledger, f"integration-{n:02}", 0) for n in range(number)]
    for one in made:
        client.hset("courier:integrations", one.name, "1")
        one.deliver(HISTORY)
    client.hset("courier:integrations", "version", "1")
    return made


def _percent(pid: int, busy: Sequence[Integration], seconds: float) -> float:
    """Let the integrations deliver for `seconds`; return the % of a core that the process used meanwhile."""
    spent_s, start_s = cpu_s(pid), time.monotonic()
    while (now_s := time.monotonic()) < start_s + seconds:
        for one in busy:
            one.deliver(A_SECOND)
        time.sleep(max(0.0, now_s + 1 - time.monotonic()))
    return 100 * (cpu_s(pid) - spent_s) / (time.monotonic() - start_s)


def _responds(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--integrations", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    figures = measure(chosen.pages, chosen.integrations, chosen.seconds, chosen.rounds)
    about = f"{chosen.pages} pages, {chosen.integrations} integrations, {chosen.seconds:g} s, {chosen.rounds} rounds"
    sys.exit(report("open_pages", figures, about=about))


if __name__ == "__main__":
    main()
