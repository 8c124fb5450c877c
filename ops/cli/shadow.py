"""`courier shadow`: count what Courier would send for the log of a running stock Integrator; send nothing."""

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
from ops.admin.terminal import fit, is_terminal, one_line, print_table, terminal_width
from ops.cli.options import TimeParam, example, integration_option, pass_settings, setting_option
from producer.alertlog import AlertLog
from producer.configuration import policy_of, read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from common.settings.load import Settings
    from producer.ossec_conf import Configuration
    from producer.source import Source

REFRESH_S: Final = 1.0


class StartParam(TimeParam):
    """A point in time, or `beginning` or `end`."""

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
    help="Where to start in the alert log: its oldest line, its end, or a time such as 2h (ago).",
)
@click.option("--once", is_flag=True, help="Exit at the end of the log.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write each delivery to this file, one JSON object per line.",
)
@integration_option
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("producer.node", help="Unique name of this manager; part of each delivery id.")
@pass_settings
def command(settings: Settings, start: Start | datetime, once: bool, out: Path | None, words: tuple[str, ...]) -> None:
    """Count what Courier would send, next to the running stock Integrator.

    It reads the same alert log and ossec.conf. It sends nothing and does not need Redis. To stop and print the table,
    press Ctrl-C. The file of --out has masked secrets but plain alerts; only you can read it.
    """
    configure_logging(settings.log.level, settings.log.format)
    source = AlertLog.of(settings.producer)
    with ExitStack() as stack:
        stack.enter_context(closing(source))
        configuration = usable_configuration(settings)
        shadow = Shadow(
            in_configuration(configuration, words, file=settings.producer.config),
            named_conditions=configuration.conditions,
            agents=configuration.agents,
            policy=lambda one: policy_of(one, settings, configuration),
            worker=settings.worker,
            source=source,
            cursor=start_cursor(source, start),
            node=settings.producer.node,
            out=stack.enter_context(open_private(out)) if out else None,
        )
        try:
            read_all(shadow) if once else follow(shadow, source)
        except OSError as error:
            raise CourierError(f"{out} cannot be written: {error.strerror}") from None
    print_table(COLUMNS, shadow.rows())
    click.echo(shadow.summary(), err=True)


def start_cursor(source: Source, start: Start | datetime) -> str:
    """Return the cursor of the first line to read."""
    if isinstance(start, datetime):
        return source.at(start)
    return source.beginning() if start is Start.BEGINNING else source.end()


def usable_configuration(settings: Settings) -> Configuration:
    """Return the configuration, and print the refused integrations. Raises CourierError if no valid one is left."""
    configuration = read_configuration(settings)
    for refused in configuration.refused:
        click.echo(one_line(f"refused: {refused}"), err=True)
    if not configuration.integrations:
        raise CourierError(
            f"{settings.producer.config} has no valid integration, so there is nothing to count; run `courier check`"
        )
    return configuration


@contextmanager
def open_private(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that only its owner can read. Raises CourierError."""
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


def follow(shadow: Shadow, source: Source) -> None:
    """Read until SIGINT or SIGTERM; at a terminal, show the counts."""
    stop = threading.Event()

    def on_signal(_signum: int, _frame: object) -> None:
        stop.set()
        source.wake()

    before = {signum: signal.signal(signum, on_signal) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        with live(shadow) as show:
            while not stop.is_set():
                if shadow.read():
                    show.update()
                    source.wait(REFRESH_S)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class NoProgress:
    """In place of the table when the output is not a terminal."""

    def update(self) -> None:
        """Do nothing."""


class LiveTable:
    """A table that is redrawn in place on a terminal."""

    def __init__(self, shadow: Shadow) -> None:
        from rich.live import Live as Area  # noqa: PLC0415 — slow to import, and needed only here

        self._shadow = shadow
        self.area = Area(transient=True, refresh_per_second=4, get_renderable=self._table)

    def update(self) -> None:
        """Redraw the table."""
        self.area.refresh()

    def _table(self) -> Table:
        from rich.table import Column, Table  # noqa: PLC0415 — as above

        rows = self._shadow.rows()
        fitted = [cells for _, cells in fit(COLUMNS, rows, terminal_width())]
        titles = [Column(cells[0], no_wrap=True) for cells in fitted]
        table = Table(
            *titles, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), caption="Ctrl-C to stop"
        )
        for number in range(1, len(rows) + 1):
            table.add_row(*(cells[number] for cells in fitted))
        return table


@contextmanager
def live(shadow: Shadow) -> Iterator[LiveTable | NoProgress]:
    """Show the counts while the block runs, at a terminal only."""
    if not is_terminal():
        yield NoProgress()
        return
    shown = LiveTable(shadow)
    with shown.area:
        yield shown
