"""`courier exporter`: shows Prometheus what the ledger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import example, pass_settings, server_options, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier exporter", "courier exporter --metrics-port 9464"))
@setting_option("metrics.address", help="Address to listen on.")
@setting_option("metrics.port", help="Port to listen on; 0 takes 9464.")
@server_options
@pass_settings
def command(settings: Settings) -> None:
    """Serve the ledger's metrics at /metrics; one for all managers and workers.

    It reads and changes nothing, and stays up while Redis is away: courier_up is 0 then.
    """
    from ops.monitoring.exporter import run  # noqa: PLC0415 — `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
