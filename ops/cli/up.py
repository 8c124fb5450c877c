"""`courier up`: run all processes on one machine, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import Invocation, example, pass_settings, setting_option
from producer.alertlog.launch import end_at_launch

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(
    epilog=example(
        "courier up --state /var/lib/courier", "courier up --config ossec.conf --alerts alerts.json --state ./state"
    )
)
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("producer.node", help="Unique name of this manager. Do not change it later.")
@setting_option("state.dir", help="Folder for the data of the embedded Redis and the secret key.")
@setting_option("flower.port", help="Port of Flower; 0 chooses a free port.")
@setting_option("console.port", help="Port of the console; 0 chooses a free port.")
@click.option(
    "--http-workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of HTTP worker processes."
)
@pass_settings
def command(settings: Settings, http_workers: int) -> None:
    """Run Redis, producer, workers, console and Flower together, for a small manager.

    To stop it, press Ctrl-C, send SIGTERM or close its terminal. You can start it again at any time: no alert is lost
    or sent twice.
    """
    configure_logging(settings.log.level, settings.log.format)
    start = end_at_launch(settings)
    from ops.cli.main import main  # noqa: PLC0415 — that module imports this one
    from ops.standalone.up import run  # noqa: PLC0415 — redis is slow to import, and `--help` needs none of it

    file = click.get_current_context().ensure_object(Invocation).file
    run(settings, main, settings_file=file, http_workers=http_workers, start=start)
