"""How fast alerts that match nothing are passed, beside msgspec's own typed decode of the same file.

    python -m ops.bench.scanning [--rounds 9] [--alerts 200000]

One core. Ours is the producer's own path from the file to the next cursor: AlertLog, prefilter, match; without Redis,
which gets one cursor a second of such a range. The reference iterates over the file's lines and decodes eight fields
of each. All are measured in turns by CPU time, so a ratio is of one round. In the rows `prefilter_level` and
`prefilter_level_group` every block has a level from which the prefilter is used (`producer.filters.prefilter`). In the
rows `prefilter_rule_ids`, `prefilter_low_level_group` and `no_prefilter` each line takes the full match. Those three
have no goal: the prefilters for rule ids, groups and locations, for which they had one, were removed.

The rows `rule_condition` and `agent_condition` have the filters of `matching_3_percent`, and a condition. One on rule
fields is answered from the cache by rule; one on another field decodes the 3 % of the alerts that pass the filters.

The rows `preview_…` are `courier preview` on the file: its rate, divided by that of the producer's path for both
versions of the integration. In the first one 10 % of the alerts match, in the second 3 %, in the third all.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from common.integration import Integration
from ops.admin.preview import Pair, Preview
from ops.admin.replay_log import TimeRange
from ops.bench.corpus import corpus
from ops.bench.report import Figure, report
from producer.alertlog import AlertLog
from producer.filters.index import FilterIndex
from producer.read_ahead import BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PERIOD: Final = TimeRange(start=datetime(2000, 1, 1, tzinfo=UTC), stop=datetime(2100, 1, 1, tzinfo=UTC))
"""A time that contains the whole file."""

LONGEST_LINE_BYTES: Final = 16 * 1024 * 1024


class _Rule(msgspec.Struct, gc=False):
    level: int
    id: str
    groups: tuple[str, ...] = ()


class _Agent(msgspec.Struct, gc=False):
    id: str
    name: str = ""


class _Alert(msgspec.Struct, gc=False):
    """The reference's eight fields."""

    id: str
    timestamp: str
    rule: _Rule
    agent: _Agent | None = None
    location: str = ""


def _block(n: int, **filters: int | str | tuple[int, ...] | tuple[str, ...]) -> Integration:
    return msgspec.convert({"id": f"i{n}", "name": f"custom-{n}"} | filters, Integration)


def _mixed(n: int) -> Integration:
    """Return one of many blocks, no two alike, that match nothing of the corpus."""
    kinds: list[dict[str, int | str | tuple[int, ...]]] = [
        {"level": 3 + n % 5, "group": f"none{n}"},
        {"rule_ids": (n + 1, n + 100)},
        {"level": 16},
        {"event_location": f"none{n}"},
    ]
    return _block(n, **kinds[n % len(kinds)])


CASES: Final[dict[str, list[Integration]]] = {
    "prefilter_level": [_block(0, level=16)],
    "prefilter_rule_ids": [_block(0, rule_ids=(1, 2, 3))],
    "prefilter_level_group": [_block(0, level=10, group="none")],
    "prefilter_low_level_group": [_block(0, level=3, group="none")],
    "no_prefilter": [_block(0, level=3, group="none", event_location="none"), _block(1, rule_ids=(1, 2))],
    "one": [_block(0, level=3, group="none", rule_ids=(1, 2), event_location="none")],
    "fifty": [_mixed(n) for n in range(50)],
    "matching_3_percent": [_block(0, level=10)],
    "rule_condition": [_block(0, level=10, except_=("rule.id = 31168 and rule.groups = attack",))],
    "agent_condition": [_block(0, level=10, only=("agent.name != build-*",))],
}


PREVIEWS: Final[dict[str, tuple[Integration, Integration]]] = {
    "preview_level": (_block(0, level=10), _block(1, level=7)),
    "preview_condition": (_block(0, level=10), _block(1, level=10, except_=("agent.name = build-*",))),
    "preview_all": (_block(0, level=10), _block(1)),
}


def preview_s(path: Path, now: Integration, then: Integration, alerts: int) -> float:
    """Return the CPU seconds that `courier preview` takes to read the file and count what changes."""
    start_s = time.process_time()
    log = AlertLog(path, max_line_bytes=LONGEST_LINE_BYTES)
    preview = Preview([Pair("x", now, then)], PERIOD, log)
    for _ in preview.run():
        pass
    log.close()
    if preview.lines != alerts:
        raise RuntimeError(f"{preview.lines} lines were read of {alerts}")
    return time.process_time() - start_s


def reference_s(path: Path) -> float:
    """Return the CPU seconds that msgspec takes for the file."""
    decode, start_s = msgspec.json.Decoder(_Alert).decode, time.process_time()
    with path.open("rb", buffering=1024 * 1024) as file:
        for line in file:
            decode(line)
    return time.process_time() - start_s


def ours_s(path: Path, integrations: Sequence[Integration], alerts: int) -> float:
    """Return the CPU seconds that the producer takes to read the file and find what matches."""
    start_s, index = time.process_time(), FilterIndex(integrations)
    log, read, at_end = AlertLog(path, max_line_bytes=LONGEST_LINE_BYTES), 0, False
    cursor = log.beginning()
    while not at_end:
        batch = log.read(cursor, BATCH_BYTES)
        number, lines = index.prefilter(batch.lines)
        for line in lines:
            index.evaluate(line.raw)
        read, cursor, at_end = read + number, batch.cursor, batch.at_end
    log.close()
    if read != alerts:
        raise RuntimeError(f"{read} lines were read of {alerts}")
    return time.process_time() - start_s


def figures(path: Path, alerts: int, rounds: int) -> list[Figure]:
    """Measure everything in turns."""
    reference_s(path)  # the file is in the page cache from here on
    scans = {f"{name}_scan": both for name, both in PREVIEWS.items()}
    taken: dict[str, list[float]] = {name: [] for name in ("reference", *CASES, *PREVIEWS, *scans)}
    for _ in range(rounds):
        taken["reference"].append(reference_s(path))
        for name, integrations in CASES.items():
            taken[name].append(ours_s(path, integrations, alerts))
        for name, (now, then) in PREVIEWS.items():
            taken[name].append(preview_s(path, now, then, alerts))
            taken[f"{name}_scan"].append(ours_s(path, (now, then), alerts))

    def ratio(above: str, below: str) -> tuple[float, ...]:
        return tuple(a / b for a, b in zip(taken[above], taken[below], strict=True))

    def a_second(name: str) -> tuple[float, ...]:
        return tuple(alerts / s for s in taken[name])

    goals = {"prefilter_level": 1.2, "prefilter_level_group": 1.2}
    megabytes = path.stat().st_size / 1e6
    return [
        Figure("msgspec_alerts_per_s", a_second("reference")),
        *(Figure(f"{name}_alerts_per_s", a_second(name), "more") for name in CASES),
        Figure("prefilter_level_mb_per_s", tuple(megabytes / s for s in taken["prefilter_level"]), "more"),
        Figure("matching_3_percent_cpu_us", tuple(1e6 * s / alerts for s in taken["matching_3_percent"]), "less"),
        *(Figure(f"{name}_vs_msgspec", ratio("reference", name), "more", goals.get(name)) for name in CASES),
        Figure("fifty_vs_one", ratio("fifty", "one"), "less", 1.3),
        Figure("fifty_vs_one_by_level", ratio("fifty", "prefilter_level"), "less"),
        Figure("rule_condition_vs_none", ratio("matching_3_percent", "rule_condition"), "more", 0.95),
        Figure("agent_condition_vs_none", ratio("matching_3_percent", "agent_condition"), "more", 0.7),
        *(Figure(f"{name}_vs_scanning", ratio(f"{name}_scan", name), "more", 0.5) for name in PREVIEWS),
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--alerts", type=int, default=200_000)
    chosen = parser.parse_args()
    path = corpus(chosen.alerts)
    return report(
        "scanning",
        figures(path, chosen.alerts, chosen.rounds),
        about=f"{chosen.alerts} alerts, one core, {chosen.rounds} rounds",
    )


if __name__ == "__main__":
    raise SystemExit(main())
