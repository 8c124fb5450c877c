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
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.fernet import Fernet

from common.integration import Integration
from common.ledger import Ledger
from common.ledger.keys import cursor_key, digest_key, groups_key, keys_of
from common.registry.encryption import Cipher
from common.settings.load import load_settings
from ops.bench.alerts import alerts
from ops.bench.report import Figure, report
from ops.bench.system import cpu_s, server_alone
from producer.alertlog.log_lines import LogLine, LogLines
from producer.cursors.signatures import CursorSigner
from producer.cursors.subscription import Subscription, split_into_commits
from producer.digests.folder import Folder
from producer.filters.decode import decode_alert
from producer.group_commit import commit_together
from producer.read_ahead import BATCH_BYTES
from producer.read_result import ReadResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis

    from common.settings.digest import Digest
    from ops.standalone.embedded_redis import EmbeddedServer
    from producer.source import Line

RATE_GOAL: Final = 30_000
RATIO_GOAL: Final = 0.6
SLACK: Final = Integration(id="slack", name="slack")
FILE: Final = "697db7c00123456789ab"
"""An example of a log file's fingerprint."""


def batches(alerts: Iterable[bytes]) -> list[list[LogLine]]:
    """Return lines of the log in batches of about BATCH_BYTES, as the source returns them."""
    found: list[list[LogLine]] = [[]]
    start = first = 0
    for line in alerts:
        if start - first >= BATCH_BYTES:
            found.append([])
            first = start
        found[-1].append(LogLine(line.rstrip(b"\n"), FILE, start, start + len(line)))
        start += len(line)
    return found


class Committing:
    """The producer's commits for one integration without filters. With a `digest` they fold alerts."""

    def __init__(
        self, client: redis.Redis, digest: Digest | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        settings = load_settings(file=None, environment={}, cwd=Path("/"))
        signer = CursorSigner(Cipher(Fernet.generate_key()), "bench")
        self._ledger = Ledger(client, clock=clock)
        self._subscription = Subscription(SLACK, settings.policy(SLACK), cursor="", committed="", signer=signer)
        self._subscription.folder = Folder(SLACK, digest, {}, decode_alert) if digest else None

    def commit(self, reading: ReadResult, after: str) -> int:
        """Commit what was read up to the cursor `after`. Return the number of alerts."""
        now_ms = self._ledger.now_ms() if self._subscription.folder else 0
        commits = {SLACK.id: self._subscription.commits("bench", reading, after, 0.0, ledger_ms=now_ms)}
        return commit_together(commits, lambda commits: self._ledger.commit_all(commits, {})[0])[SLACK.id]


def reading_of(batch: list[LogLine]) -> ReadResult:
    """Return what the producer has read if all these lines match."""
    reading = ReadResult()
    reading.matches[SLACK.id] = [*batch]
    reading.add_batch(LogLines(batch), len(batch), has_matches=True)
    return reading


def commit(client: redis.Redis, lines: list[list[LogLine]], digest: Digest | None = None) -> None:
    """Commit every batch through the producer's Subscription."""
    committing, stored = Committing(client, digest), 0
    for batch in lines:
        stored += committing.commit(reading_of(batch), batch[-1].next_cursor)
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


class Turn(NamedTuple):
    """Alerts a second, and the CPU for each in microseconds: of the server, and of the server and this process."""

    per_s: float
    server_cpu_us: float
    cpu_us: float


class Bench:
    """One server and the alerts that each way writes to it."""

    def __init__(self, server: EmbeddedServer, client: redis.Redis, lines: list[list[LogLine]]) -> None:
        self._server, self._client, self._lines = server, client, lines
        self._count = sum(map(len, lines))

    def rate(self, way: Way) -> Turn:
        """Write all alerts in this way."""
        pid = self._server.pid or 0
        cpu, own, start_s = cpu_s(pid), time.process_time(), time.perf_counter()
        way(self._client, self._lines)
        took_s, own = time.perf_counter() - start_s, time.process_time() - own
        spent = cpu_s(pid) - cpu
        self._client.delete("plain", cursor_key("slack"), groups_key("slack"), digest_key("slack"), *keys_of("slack"))
        return Turn(self._count / took_s, 1e6 * spent / self._count, 1e6 * (spent + own) / self._count)


def measure(count: int, rounds: int) -> list[Figure]:
    """Measure the three ways in turns, after a warm-up round."""
    with server_alone() as (server, client):
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.config_set("lazyfree-lazy-user-del", "no")  # else the deletion continues during the next turn
        bench = Bench(server, client, batches(alerts(count)))
        found = [[bench.rate(way) for way in (commit, plain, one_command)] for _ in range(rounds + 1)][1:]
    ours, pipelined, at_once = ([one[way] for one in found] for way in range(3))
    return [
        Figure("commits_per_s", _rates(ours), "more", RATE_GOAL),
        Figure("pipelined_per_s", _rates(pipelined)),
        Figure("ratio_to_pipelined", _ratios(ours, pipelined), "more", RATIO_GOAL),
        Figure("one_command_per_s", _rates(at_once)),
        Figure("ratio_to_one_command", _ratios(ours, at_once)),
        Figure("commit_server_cpu_us", tuple(one.server_cpu_us for one in ours), "less"),
        Figure("pipelined_server_cpu_us", tuple(one.server_cpu_us for one in pipelined)),
    ]


def _rates(found: list[Turn]) -> tuple[float, ...]:
    return tuple(one.per_s for one in found)


def _ratios(ours: list[Turn], other: list[Turn]) -> tuple[float, ...]:
    return tuple(one.per_s / reference.per_s for one, reference in zip(ours, other, strict=True))


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
