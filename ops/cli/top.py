"""`courier top`: all integrations on one screen, refreshed every second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from ops.admin.recent_history import sample_size, summarize
from ops.admin.session import open_session
from ops.admin.terminal import is_dumb, is_terminal, print_table
from ops.admin.top import COLUMNS, Rates, TopLine, View, cells
from ops.cli.options import example, integration_option, pass_settings, server_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from common.settings.load import Settings
    from ops.admin.recent_history import RecentHistory
    from ops.admin.session import LedgerSession

REFRESH_S: Final = 1.0

HISTORY_REFRESH_S: Final = 10.0
"""The history of all integrations is up to 500 kB a read."""
QUIT_KEYS: Final = ("q", "Q", "\x03", "\x04")


class Sampler:
    """Reads the status of the integrations that `words` select, including those published after the start."""

    def __init__(self, session: LedgerSession, words: tuple[str, ...]) -> None:
        self._session, self._words = session, words
        self._rates = Rates()
        self._recent: dict[str, RecentHistory] = {}
        self._recent_due_ms = 0
        self.lines: list[TopLine] = []
        self.now_ms = 0

    def read(self, *, with_history: bool = False) -> None:
        """Read the current status, and the history if it is wanted and older than HISTORY_REFRESH_S.

        Raises LedgerUnavailable or LedgerMisconfigured.
        """
        session = self._session.refreshed()
        statuses = session.ledger.statuses(session.resolve_for_query(self._words))
        self.now_ms = session.ledger.now_ms()
        self._rates.update(statuses, self.now_ms)
        if with_history and self.now_ms >= self._recent_due_ms:
            entries = session.ledger.last_history(list(statuses), sample_size(len(statuses)))
            self._recent = {one: summarize(newest) for one, newest in entries.items()}
            self._recent_due_ms = self.now_ms + round(1000 * HISTORY_REFRESH_S)
        self.lines = [
            TopLine(session.label(one), status, self._rates.of(one), self._recent.get(one))
            for one, status in statuses.items()
        ]


KEYS: Final = """\b
Keys:
  q, Ctrl-C         quit
  up, down, k, j    scroll (also PgUp, PgDn, Home, End)
  i, w, d, o, t, r  sort by id, waiting, dead, oldest, out/s, retry/s
"""


@click.command(epilog=f"{KEYS}\n{example('courier top', 'courier top --integration slack', 'courier top --once')}")
@click.option("--once", is_flag=True, help="Measure for one second, print the table and exit, for scripts.")
@integration_option
@server_options
@pass_settings
def command(settings: Settings, words: tuple[str, ...], *, once: bool) -> None:
    """Watch rates, backlogs, dead letters, the age of the oldest delivery, and errors. Press q to quit."""
    with open_session(settings) as session:
        sampler = Sampler(session, words)
        if once or not is_terminal() or is_dumb():
            sampler.read()
            time.sleep(REFRESH_S)
            sampler.read()
            print_table(COLUMNS, [cells(one, sampler.now_ms) for one in sampler.lines])
            return
        _live(sampler)


def _live(sampler: Sampler) -> None:
    """Draw until a quit key: at once after each key, and with new numbers every REFRESH_S seconds."""
    from rich.console import Group  # noqa: PLC0415 — slow to import, and needed only here
    from rich.live import Live  # noqa: PLC0415 — as above

    from ops.admin.keyboard import keys  # noqa: PLC0415 — needs a terminal

    view = View()
    sampler.read(with_history=True)

    def screen() -> RenderableType:
        size = live.console.size
        return Group(*view.draw(sampler.lines, sampler.now_ms, size.width, size.height))

    try:
        with keys() as pressed, Live(auto_refresh=False, screen=True, vertical_overflow="crop") as live:
            due_s = time.monotonic() + REFRESH_S
            live.update(screen(), refresh=True)
            while (key := pressed(max(0.0, due_s - time.monotonic()))) not in QUIT_KEYS:
                view.press(key)
                if time.monotonic() >= due_s:
                    sampler.read(with_history=True)
                    due_s = time.monotonic() + REFRESH_S
                live.update(screen(), refresh=True)
    except KeyboardInterrupt:
        pass
