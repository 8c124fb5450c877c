"""Generates metrics.md from the table of metrics.

python -m ops.docs.render.metrics
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.metrics.labels import FAILED, OUTCOMES_WITHOUT_REASON, REASONS_WITHOUT_ATTEMPT, SKIPPED
from common.metrics.table import TABLE, ExposedBy
from producer.metrics import REJECT_REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE: Final = Path(__file__).parents[1] / "metrics.md"

HEAD: Final = """# Metrics

<!-- Written by `python -m ops.docs.render.metrics` from common/metrics/table.py. -->

Every process can show its metrics at `http://ADDRESS:PORT/metrics` (settings `metrics.address` and `metrics.port`).
Scrape one `courier exporter`, which shows the ledger and all producers. Also scrape each producer and worker for the
metrics that only they have. The ledger stores the counters of the exporter: they survive every restart, and you can
add them up over all integrations. Labels are ids, node names and values of the closed lists below. Each pair of outcome
and reason exists from the start, with the value zero. No metric contains a URL, a key or any part of an alert. Each
endpoint also shows the memory, CPU and file descriptors of its process (`process_*`).
"""
TITLES: Final = {
    ExposedBy.EXPORTER: "The exporter",
    ExposedBy.PRODUCER: "A producer",
    ExposedBy.WORKER: "A worker",
}
COLUMNS: Final = "| metric | kind | labels | meaning |\n|---|---|---|---|\n"


def render() -> str:
    """Return the whole content of metrics.md."""
    return "".join([HEAD, *(_section(shown) for shown in ExposedBy), _labels()])


def _section(shown: ExposedBy) -> str:
    rows = (f"| `{m.full_name}` | {m.type} | {_codes(m.labels)} | {m.help} |\n" for m in TABLE if m.exposed_by is shown)
    return f"\n## {TITLES[shown]}\n\n{COLUMNS}{''.join(rows)}"


def _labels() -> str:
    return "\n## The closed lists\n\n| where | `outcome` | `reason` |\n|---|---|---|\n" + "".join(_lists())


def _lists() -> Iterator[str]:
    ledger, attempts, lines = "courier_deliveries_total", "courier_attempts_total", "courier_lines_rejected_total"
    yield f"| `{ledger}` | {_codes(OUTCOMES_WITHOUT_REASON)} | none |\n"
    yield f"| `{ledger}`, `{attempts}` | `skipped` | {_codes(SKIPPED)} |\n"
    yield f"| `{ledger}` | `retried`, `dead` | {_codes(FAILED)} |\n"
    yield f"| `{ledger}` | `dead` | {_codes(REASONS_WITHOUT_ATTEMPT)} |\n"
    yield f"| `{attempts}` | `delivered` | none |\n"
    yield f"| `{attempts}` | `retry`, `dead` | {_codes(FAILED)} |\n"
    yield f"| `{lines}`, `courier_producer_lines_rejected_total` | | {_codes(REJECT_REASONS)} |\n"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
