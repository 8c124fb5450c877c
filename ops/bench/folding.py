"""What folding a flood into digests costs the producer, compared with committing each alert, on one core.

    python -m ops.bench.folding [--alerts 20000] [--rounds 7] [--memory-alerts 1000000]

`commit_*` is measured as in `ops.bench.commit_rate`, with the same alerts, which are one group: `Subscription` folds
and commits lines that lie ready. `whole_*` is the producer's whole way from the log to the committed state: it reads a
file, decodes, matches, folds and commits a flood of 5 groups, and of 100 in `many_*`. `first_3` delivers three alerts
of each group one by one. A ratio compares with the same without digests in the same round, by the rate and by the CPU
time of this process and the server, which other load on the machine changes less. All are measured in turns.

`memory_*`: a million alerts in 100 groups are folded in one window, which then ends. Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.ledger import Ledger, Release
from common.settings.digest import Digest
from ops.bench.alerts import alert, alerts
from ops.bench.commit_rate import SLACK, Bench, Committing, batches, commit, reading_of
from ops.bench.footprint import memory
from ops.bench.report import Figure, report
from ops.bench.system import server_alone
from producer.alertlog.alert_log import AlertLog
from producer.matching import Matcher
from producer.quarantine import Quarantine
from producer.read_ahead import BATCH_BYTES, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from ops.bench.commit_rate import Turn, Way
    from producer.alertlog.log_lines import LogLine

RATIO_GOAL: Final = 2.0
MEMORY_GOAL_MB: Final = 20.0
START_S: Final = 1_769_846_400.0
"""The time of the ledger while the memory is measured, in seconds since the epoch."""

MANY_GROUPS: Final = 100
FLOODS: Final = {"whole": 5, "many": MANY_GROUPS}
"""The groups of the floods that are read from a file."""

LONGEST_LINE_BYTES: Final = 64 * 1024
DIGESTS: Final = {"without": None, "digest": Digest(every_s=3600), "first_3": Digest(every_s=3600, first=3)}


def flood(count: int, groups: int) -> Iterator[bytes]:
    """Yield lines of the log: alerts of `groups` rules from 40 agents and 300 addresses."""
    for n in range(count):
        line = alert(n).replace(b'"id":"5712"', b'"id":"%d"' % (5700 + n % groups))
        yield line.replace(b'"web01"', b'"web%02d"' % (n % 40)).replace(b'"203.0.113.7"', b'"203.0.113.%d"' % (n % 300))


def whole(client: redis.Redis, lines: list[list[LogLine]], *, path: Path, digest: Digest | None) -> None:
    """Read the file as the producer does, up to the commit of its last line. `lines` are those of the file."""
    committing, stored = Committing(client, digest), 0
    matcher = Matcher([SLACK], Quarantine(path.with_name("quarantine"), BATCH_BYTES, time.time))
    log, at_end = AlertLog(path, max_line_bytes=LONGEST_LINE_BYTES), False
    cursor = log.beginning()
    while not at_end:
        reading, cursor, at_end = read_ahead(log, matcher, cursor, [SLACK.id] if digest else [])
        stored += committing.commit(reading, cursor)
    log.close()
    if stored != sum(map(len, lines)):
        raise SystemExit(f"only {stored} alerts were committed")


def rates(count: int, rounds: int) -> list[Figure]:
    """Measure all ways in turns, after a warm-up round."""
    with server_alone() as (server, client), tempfile.TemporaryDirectory() as folder:
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.config_set("lazyfree-lazy-user-del", "no")  # else the deletion continues during the next turn
        paths = {name: Path(folder) / f"{name}.json" for name in FLOODS}
        for name, groups in FLOODS.items():
            paths[name].write_bytes(b"".join(flood(count, groups)))
        bench = Bench(server, client, batches(alerts(count)))
        ways: dict[str, Way] = {}
        for name, digest in DIGESTS.items():
            ways[f"commit_{name}"] = partial(commit, digest=digest)
            ways |= {f"{part}_{name}": partial(whole, path=path, digest=digest) for part, path in paths.items()}
        found = [{name: bench.rate(way) for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    return [figure for part in ("commit", *FLOODS) for figure in _figures(part, found)]


def _figures(part: str, found: list[dict[str, Turn]]) -> Iterator[Figure]:
    reference = [one[f"{part}_without"] for one in found]
    goal = None if part == "many" else RATIO_GOAL
    yield Figure(f"{part}_without_per_s", tuple(one.per_s for one in reference))
    yield Figure(f"{part}_without_cpu_us", tuple(one.cpu_us for one in reference))
    for name in (f"{part}_digest", f"{part}_first_3"):
        turns = [one[name] for one in found]
        both = [*zip(turns, reference, strict=True)]
        yield Figure(f"{name}_per_s", tuple(one.per_s for one in turns), "more")
        yield Figure(f"{name}_ratio", tuple(one.per_s / other.per_s for one, other in both), "more", goal)
        yield Figure(f"{name}_cpu_us", tuple(one.cpu_us for one in turns), "less")
        yield Figure(f"{name}_cpu_ratio", tuple(other.cpu_us / one.cpu_us for one, other in both), "more", goal)


def footprint(count: int) -> list[Figure]:
    """Fold a flood of many groups in one window. Return the memory in Redis, and the messages when it ends."""
    now_s = START_S

    def clock() -> float:
        return now_s

    with server_alone() as (_, client):
        commit(client, batches(flood(1_000, MANY_GROUPS)))  # loads the scripts, allocates buffers
        client.flushdb()
        empty, lines, digest = memory(client), flood(count, MANY_GROUPS), DIGESTS["digest"]
        ledger, committing, most = Ledger(client, clock=clock), Committing(client, digest, clock=clock), 0
        while chunk := [*islice(lines, 2_000)]:
            for batch in batches(chunk):
                committing.commit(reading_of(batch), batch[-1].next_cursor)
            most = max(most, memory(client) - empty)
        before = ledger.status(SLACK.id)
        now_s += 3600
        terms = Release(max_in_flight=count, batch_max=count, lease_s=60, linger_s=0)
        messages = sum(map(len, ledger.release_all({SLACK.id: terms})[SLACK.id]))
    if before.in_groups != count:
        raise SystemExit(f"only {before.in_groups} alerts were folded")
    return [
        Figure("memory_mb", (most / 1e6,), "less", MEMORY_GOAL_MB),
        Figure("memory_messages", (messages,), "less", MANY_GROUPS),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory-alerts", type=int, default=1_000_000, help="0: do not measure memory")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures = rates(chosen.alerts, chosen.rounds)
    figures += footprint(chosen.memory_alerts) if chosen.memory_alerts else []
    about = f"{chosen.alerts} alerts of 1.4 KB, {chosen.rounds} rounds, one core"
    sys.exit(report("folding", figures, about=f"{about}; {chosen.memory_alerts} alerts for the memory"))


if __name__ == "__main__":
    main()
