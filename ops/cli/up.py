"""`courier up`: everything on one machine, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import Invocation, example, pass_settings, setting

if TYPE_CHECKING:
    from common.settings import Settings


@click.command(
    epilog=example(
        "courier up --state /var/lib/courier", "courier up --config ossec.conf --alerts alerts.json --state ./state"
    )
)
@setting("producer.config", help="The manager's ossec.conf.")
@setting("producer.alerts", help="The manager's alerts.json.")
@setting("producer.node", help="Name of this manager; never change it.")
@setting("state.dir", help="Folder for the embedded server's data and the secret key.")
@setting("flower.port", help="Port of Flower; 0 takes a free one.")
@click.option("--http-workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@pass_settings
def command(settings: Settings, http_workers: int) -> None:
    """Run server, producer, workers and Flower together, for a small manager.

    Stop it with Ctrl-C, SIGTERM or by closing its terminal, and start it again at any time: nothing is lost and
    nothing repeated.
    """
    from ops.up import run  # noqa: PLC0415 — Celery is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings, settings_file=click.get_current_context().ensure_object(Invocation).file, http_workers=http_workers)
