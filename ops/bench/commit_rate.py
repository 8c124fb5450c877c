"""How fast matched alerts are committed, compared with a pipelined write of the same bytes, on one core.

    python -m ops.bench.commit_rate [--alerts 20000] [--rounds 7]

The server and this process share a single core (one of those it may use), so the rate includes the cost of
both. The alerts, 1.4 KB each, go through `commit_together` in batches as large as the source reads, into a
server whose append-only file is fsynced every second: the producer's own code, with the ids, the check of the cursor,
the limits of the backlog and the queue by due time. The reference stores ids and alerts in a hash, one HSET each, in
pipelines as long as a commit; `one_command` is the same in one HSET with many fields, the fastest there is.

The three are measured in turns; the ratio is that of each round. Keys are removed between the turns, and the server
does not rewrite its append-only file meanwhile, because that would slow down a random turn. Exits with 1 if a goal is
missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet

from common.integration import Integration
from common.ledger import Ledger
from common.ledger.keys import cursor_key, keys_of
from common.registry.encryption import Cipher
from common.settings.load import load_settings
from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import cpu_s, server_alone
from producer.alertlog.log_lines import LogLine, LogLines
from producer.cursors.signatures import CursorSigner
from producer.cursors.subscription import Subscription, split_into_commits
from producer.group_commit import commit_together
from producer.loop import BATCH_BYTES
from producer.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer
    from producer.source import Line

RATE_GOAL: Final = 30_000
RATIO_GOAL: Final = 0.6
FILE: Final = "697db7c00123456789ab"
"""An example of a log file's fingerprint."""


def batches(count: int) -> list[list[LogLine]]:
    """Return `count` alerts in batches of about BATCH_BYTES, as the source returns them."""
    found: list[list[LogLine]] = [[]]
    start = first = 0
    for line in alerts(count):
        if start - first >= BATCH_BYTES:
            found.append([])
            first = start
        found[-1].append(LogLine(line.rstrip(b"\n"), FILE, start, start + len(line)))
        start += len(line)
    return found


def commit(client: redis.Redis, lines: list[list[LogLine]]) -> None:
    """Commit every batch through the producer's Subscription."""
    slack = Integration(id="slack", name="slack")
    settings = load_settings(file=None, environment={}, cwd=Path("/"))
    signer = CursorSigner(Cipher(Fernet.generate_key()), "bench")
    ledger, subscription = (
        Ledger(client),
        Subscription(slack, settings.policy(slack), cursor="", committed="", signer=signer),
    )
    stored = 0
    for batch in lines:
        reading = Reading()
        reading.matches[slack.id] = [*batch]
        reading.add_batch(LogLines(batch), len(batch), has_matches=True)
        commits = {slack.id: subscription.commits("bench", reading, batch[-1].next_cursor, 0.0)}
        stored += commit_together(commits, lambda commits: ledger.commit_all(commits, {})[0])[slack.id]
    if stored != sum(map(len, lines)):
        raise SystemExit(f"only {stored} alerts were committed")


def plain(client: redis.Redis, lines: list[list[LogLine]]) -> None:
    """Write the same ids and alerts, one command each, in pipelines as long as a commit."""
    for chunk in _chunks(lines):
        with client.pipeline(transaction=False) as pipe:
            for line in chunk:
                pipe.hset("plain", f"bench:{line.id}", line.raw)
            pipe.execute()


def one_command(client: redis.Redis, lines: list[list[LogLine]]) -> None:
    """Write the same ids and alerts, one HSET for each commit's worth."""
    for chunk in _chunks(lines):
        client.hset("plain", items=[part for line in chunk for part in (f"bench:{line.id}", line.raw)])


def _chunks(lines: list[list[LogLine]]) -> Iterator[list[Line]]:
    return (chunk for batch in lines for chunk in split_into_commits(batch))


Way = Callable[["redis.Redis", list[list[LogLine]]], None]


class Bench:
    """One server and the alerts that each way writes to it."""

    def __init__(self, server: EmbeddedServer, client: redis.Redis, lines: list[list[LogLine]]) -> None:
        self._server, self._client, self._lines = server, client, lines
        self._count = sum(map(len, lines))

    def rate(self, way: Way) -> tuple[float, float]:
        """Write all alerts in this way. Return alerts a second and the server's CPU for each in microseconds."""
        pid = self._server.pid or 0
        cpu, start_s = cpu_s(pid), time.perf_counter()
        way(self._client, self._lines)
        took_s = time.perf_counter() - start_s
        spent = cpu_s(pid) - cpu
        self._client.delete("plain", cursor_key("slack"), *keys_of("slack"))
        return self._count / took_s, 1e6 * spent / self._count


def measure(count: int, rounds: int) -> list[Figure]:
    """Measure the three ways in turns, after a warm-up round."""
    with server_alone() as (server, client):
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.config_set("lazyfree-lazy-user-del", "no")  # else the deletion continues during the next turn
        bench = Bench(server, client, batches(count))
        found = [[bench.rate(way) for way in (commit, plain, one_command)] for _ in range(rounds + 1)][1:]
    ours, pipelined, at_once = ([one[way] for one in found] for way in range(3))
    return [
        Figure("commits_per_s", _firsts(ours), "more", RATE_GOAL),
        Figure("pipelined_per_s", _firsts(pipelined)),
        Figure("ratio_to_pipelined", _ratios(ours, pipelined), "more", RATIO_GOAL),
        Figure("one_command_per_s", _firsts(at_once)),
        Figure("ratio_to_one_command", _ratios(ours, at_once)),
        Figure("commit_server_cpu_us", tuple(cpu for _, cpu in ours), "less"),
        Figure("pipelined_server_cpu_us", tuple(cpu for _, cpu in pipelined)),
    ]


def _firsts(found: list[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(rate for rate, _ in found)


def _ratios(ours: list[tuple[float, float]], other: list[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(one / reference for (one, _), (reference, _) in zip(ours, other, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    figures = measure(chosen.alerts, chosen.rounds)
    sys.exit(
        report("commit_rate", figures, about=f"{chosen.alerts} alerts of 1.4 KB, {chosen.rounds} rounds, one core")
    )


if __name__ == "__main__":
    main()
