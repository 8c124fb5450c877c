"""`courier top`: every integration on one screen, once a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from ops.admin.session import open_session
from ops.admin.terminal import print_table
from ops.admin.top import COLUMNS, Rates, TopLine, View, cells
from ops.cli.options import example, integration_option, pass_settings, server_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from common.settings.load import Settings
    from ops.admin.session import LedgerSession

REFRESH_S: Final = 1.0
QUIT_KEYS: Final = ("q", "Q", "\x03", "\x04")


class Sampler:
    """Reads the integrations that `words` mean, those that are published meanwhile included."""

    def __init__(self, door: LedgerSession, words: tuple[str, ...]) -> None:
        self._door, self._words = door, words
        self._rates = Rates()
        self.lines: list[TopLine] = []
        self.now_ms = 0

    def read(self) -> None:
        """Read all of them now. Raises LedgerUnavailable or LedgerMisconfigured."""
        door = self._door.refreshed()
        statuses = {one: door.ledger.status(one) for one in door.resolve_for_query(self._words)}
        self.now_ms = door.ledger.now_ms()
        self._rates.update(statuses, self.now_ms)
        self.lines = [TopLine(door.label(one), status, self._rates.of(one)) for one, status in statuses.items()]


KEYS: Final = """\b
Keys:
  q, Ctrl-C         end
  up, down, k, j    scroll, as do PgUp, PgDn, Home and End
  i, w, d, o, t, r  sort by id, waiting, dead, oldest, out/s, retry/s
"""


@click.command(epilog=f"{KEYS}\n{example('courier top', 'courier top --integration slack', 'courier top --once')}")
@click.option("--once", is_flag=True, help="Write one picture, measured over a second, and end: for scripts.")
@integration_option
@server_options
@pass_settings
def command(settings: Settings, words: tuple[str, ...], *, once: bool) -> None:
    """Watch rates, what waits, the oldest age, what holds back, and the last error; `q` ends it."""
    with open_session(settings) as door:
        watch = Sampler(door, words)
        watch.read()
        if once or not sys.stdout.isatty():
            time.sleep(REFRESH_S)
            watch.read()
            print_table(COLUMNS, [cells(*one, watch.now_ms) for one in watch.lines])
            return
        _live(watch)


def _live(watch: Sampler) -> None:
    """Draw until the person has enough: at once after a key, and with new numbers once a second."""
    from rich.console import Group  # noqa: PLC0415 — slow to import, and needed only here
    from rich.live import Live  # noqa: PLC0415 — as above

    from ops.admin.keyboard import keys  # noqa: PLC0415 — needs a terminal

    view = View()

    def picture() -> RenderableType:
        size = live.console.size
        return Group(*view.draw(watch.lines, watch.now_ms, size.width, size.height))

    try:
        with keys() as pressed, Live(auto_refresh=False, screen=True, vertical_overflow="crop") as live:
            due_s = time.monotonic() + REFRESH_S
            live.update(picture(), refresh=True)
            while (key := pressed(max(0.0, due_s - time.monotonic()))) not in QUIT_KEYS:
                view.press(key)
                if time.monotonic() >= due_s:
                    watch.read()
                    due_s = time.monotonic() + REFRESH_S
                live.update(picture(), refresh=True)
    except KeyboardInterrupt:
        pass
