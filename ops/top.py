"""What `courier top` shows: rates from the difference of two looks at the counters, and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ops.holds import holds, last_error
from ops.tables import age

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from common.ledger import Status

COLUMNS: Final = (
    "Integration",
    "In/s",
    "Out/s",
    "Retry/s",
    "Waiting",
    "Released",
    "Dead",
    "Oldest",
    "Held back",
    "Last error",
)
NUMBERS: Final = COLUMNS[1:8]


class Rate(NamedTuple):
    """Deliveries a second: committed, ended well (delivered or skipped), and put off to try again."""

    arrived: float = 0.0
    ended: float = 0.0
    retried: float = 0.0


class Rates:
    """The rates between the last two looks."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Rate]] = {}
        self._rates: dict[str, Rate] = {}

    def update(self, statuses: Mapping[str, Status], now_ms: int) -> None:
        """Take a look, at the ledger's time `now_ms`."""
        for integration_id, status in statuses.items():
            totals = status.totals
            ended = totals.get("delivered", 0) + totals.get("skipped", 0)
            now = Rate(totals.get("committed", 0), ended, totals.get("retried", 0))
            then_ms, then = self._seen.get(integration_id, (now_ms, now))
            seconds = (now_ms - then_ms) / 1000
            if seconds > 0:
                self._rates[integration_id] = Rate(*(max(0, b - a) / seconds for a, b in zip(then, now, strict=True)))
            self._seen[integration_id] = (now_ms, now)

    def of(self, integration_id: str) -> Rate:
        """Return the rates of one integration, zero before there were two looks."""
        return self._rates.get(integration_id, Rate())


def cells(integration_id: str, status: Status, rate: Rate, now_ms: int) -> tuple[str, ...]:
    """Return one line of the table, in the order of COLUMNS."""
    oldest = "" if status.oldest_age_s is None else age(status.oldest_age_s)
    counts = (status.waiting, status.released, status.dead)
    texts = (oldest, holds(status, now_ms), last_error(status, now_ms))
    return (integration_id, *(f"{one:.1f}" for one in rate), *map(str, counts), *texts)


def render(statuses: Mapping[str, Status], rates: Rates, now_ms: int) -> Table:
    """Return the picture for a terminal; what wants attention stands out."""
    from rich.table import Column, Table  # noqa: PLC0415 — slow to import, and needed only here
    from rich.text import Text  # noqa: PLC0415 — as above

    columns = [Column(title, justify="right" if title in NUMBERS else "left", overflow="fold") for title in COLUMNS]
    table = Table(*columns, box=None, header_style="bold", pad_edge=False, caption="q ends", caption_justify="left")
    for integration_id, status in statuses.items():
        row = cells(integration_id, status, rates.of(integration_id), now_ms)
        styles = dict.fromkeys(COLUMNS, "") | {"Held back": "yellow", "Dead": "red" if status.dead else "dim"}
        table.add_row(*(Text(cell, styles[title]) for cell, title in zip(row, COLUMNS, strict=True)))
    return table
