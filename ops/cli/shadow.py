"""`courier shadow`: beside a running stock Integrator, what Courier would send of the same log; nothing is sent."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from common.errors import CourierError
from common.logs import configure_logging
from common.settings.schema import Start
from ops.admin.names import in_configuration
from ops.admin.shadow import COLUMNS, Shadow
from ops.admin.terminal import fit, is_terminal, print_table, terminal_width
from ops.cli.main import one_line
from ops.cli.options import TimeParam, example, integration_option, pass_settings, setting_option
from producer.alertlog import AlertLog, Watcher
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from common.integration import Integration
    from common.settings.load import Settings

REFRESH_S: Final = 1.0


class StartParam(TimeParam):
    """A point in time, or one of the two words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word or the time. Raises click.BadParameter."""
        return Start(value) if value in {Start.BEGINNING, Start.END} else super().convert(value, param, ctx)


@click.command(epilog=example("courier shadow", "courier shadow --from beginning --once --out would-send.jsonl"))
@click.option(
    "--from",
    "start",
    type=StartParam(),
    default=Start.END.value,
    show_default=True,
    metavar="beginning|end|TIME",
    help="Where in the alert log to begin: its oldest line, what comes from now on, or a time such as 2h (ago).",
)
@click.option("--once", is_flag=True, help="Stop at the end of the log.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write what would be sent there, one JSON a line."
)
@integration_option
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("producer.node", help="Name of this manager; part of each delivery's id.")
@pass_settings
def command(settings: Settings, start: Start | datetime, once: bool, out: Path | None, words: tuple[str, ...]) -> None:
    """Read the same log and configuration as the running Integrator, and count what Courier would send.

    Nothing is sent and Redis is not needed. Ctrl-C ends it with the table. Secrets are masked in --out, but alerts are
    not: the file is readable by you alone.
    """
    configure_logging(settings.log.level, settings.log.format)
    source = AlertLog(settings.producer.alerts, max_line_bytes=settings.producer.max_line_bytes)
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        shadow = Shadow(
            usable_integrations(settings, words),
            policy=settings.policy,
            worker=settings.worker,
            source=source,
            cursor=where(source, start),
            node=settings.producer.node,
            out=stack.enter_context(open_private(out)) if out else None,
        )
        try:
            read_all(shadow) if once else follow(shadow, settings)
        except OSError as error:
            raise CourierError(f"{out} cannot be written: {error.strerror}") from None
    print_table(COLUMNS, shadow.rows())
    click.echo(shadow.summary(), err=True)


def where(source: AlertLog, start: Start | datetime) -> str:
    """Return the cursor at which to begin."""
    if isinstance(start, datetime):
        return source.at(start)
    return source.beginning() if start is Start.BEGINNING else source.end()


def usable_integrations(settings: Settings, words: tuple[str, ...]) -> tuple[Integration, ...]:
    """Return the integrations that can be used and are wanted, and report the others. Raises CourierError."""
    configuration = read_ossec_conf(settings.producer.config)
    for refused in configuration.refused:
        click.echo(one_line(f"refused: {refused}"), err=True)
    if not configuration.integrations:
        raise CourierError(f"{settings.producer.config} has no integration that can be used: there is nothing to count")
    return tuple(in_configuration(configuration, words, file=settings.producer.config))


@contextmanager
def open_private(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that nobody else may read. Raises CourierError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise CourierError(f"{path} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        yield file


def read_all(shadow: Shadow) -> None:
    """Read to the end of the log."""
    while not shadow.read():
        pass


def follow(shadow: Shadow, settings: Settings) -> None:
    """Read on until SIGINT or SIGTERM; at a terminal, show the counts meanwhile."""
    stop = threading.Event()
    with closing(Watcher(settings.producer.alerts, poll_s=settings.producer.poll_interval_s)) as watcher:

        def end(_signum: int, _frame: object) -> None:
            stop.set()
            watcher.wake()

        before = {signum: signal.signal(signum, end) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            with live(shadow) as show:
                while not stop.is_set():
                    if shadow.read():
                        show.update()
                        watcher.wait(REFRESH_S)
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


class NoProgress:
    """Shows nothing: nobody watches."""

    def update(self) -> None:
        """Do nothing."""


class LiveTable:
    """The table on a terminal, drawn anew in its place."""

    def __init__(self, shadow: Shadow) -> None:
        from rich.live import Live as Area  # noqa: PLC0415 — slow to import, and needed only here

        self._shadow = shadow
        self.area = Area(transient=True, refresh_per_second=4, get_renderable=self._table)

    def update(self) -> None:
        """Draw it now."""
        self.area.refresh()

    def _table(self) -> Table:
        from rich.table import Column, Table  # noqa: PLC0415 — as above

        rows = self._shadow.rows()
        fitted = [cells for _, cells in fit(COLUMNS, rows, terminal_width())]
        titles = [Column(cells[0], no_wrap=True) for cells in fitted]
        table = Table(
            *titles, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), caption="Ctrl-C ends"
        )
        for number in range(1, len(rows) + 1):
            table.add_row(*(cells[number] for cells in fitted))
        return table


@contextmanager
def live(shadow: Shadow) -> Iterator[LiveTable | NoProgress]:
    """Show the counts while the block runs, if somebody watches."""
    if not is_terminal():
        yield NoProgress()
        return
    shown = LiveTable(shadow)
    with shown.area:
        yield shown
