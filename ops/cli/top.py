"""`courier top`: every integration on one screen, once a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from ops.access import access
from ops.cli.options import pass_settings, setting
from ops.tables import print_table
from ops.top import COLUMNS, Rates, cells, render

if TYPE_CHECKING:
    from common.ledger import Status
    from common.settings import Settings
    from ops.access import Access

REFRESH_S: Final = 1.0
ENDS: Final = ("q", "Q", "\x03", "\x04")


@click.command()
@click.option("--once", is_flag=True, help="Write one picture, measured over a second, and end: for scripts.")
@setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting("state.dir", help="State directory of `courier up`, where its server is found.")
@pass_settings
def command(settings: Settings, *, once: bool) -> None:
    """Watch rates, what waits, the oldest age, what holds back, and the last error. `q` or Ctrl-C ends it."""
    with access(settings) as door:
        rates = Rates()
        rates.update(_statuses(door), door.ledger.now_ms())
        if once or not sys.stdout.isatty():
            time.sleep(REFRESH_S)
            statuses, now_ms = _statuses(door), door.ledger.now_ms()
            rates.update(statuses, now_ms)
            print_table(COLUMNS, [cells(i, s, rates.of(i), now_ms) for i, s in statuses.items()])
            return
        _live(door, rates)


def _statuses(door: Access) -> dict[str, Status]:
    return {i: door.ledger.status(i) for i in door.ids}


def _live(door: Access, rates: Rates) -> None:
    """Draw until the person has enough. An integration that is published meanwhile is shown at the next start."""
    from rich.live import Live  # noqa: PLC0415 — slow to import, and needed only here

    from ops.keyboard import keys  # noqa: PLC0415 — needs a terminal

    def picture() -> object:
        statuses, now_ms = _statuses(door), door.ledger.now_ms()
        rates.update(statuses, now_ms)
        return render(statuses, rates, now_ms)

    try:
        with keys() as pressed, Live(picture(), auto_refresh=False, screen=True) as live:  # type: ignore[arg-type]  # rich's own renderable
            while pressed(REFRESH_S) not in ENDS:
                live.update(picture(), refresh=True)  # type: ignore[arg-type]  # as above
    except KeyboardInterrupt:
        pass
