"""`courier exporter`: the Prometheus metrics of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import example, pass_settings, server_options, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier exporter", "courier exporter --metrics-port 9464"))
@setting_option("metrics.address", help="Address to listen on.")
@setting_option("metrics.port", help="Port to listen on; 0 means 9464.")
@server_options
@pass_settings
def command(settings: Settings) -> None:
    """Serve the ledger's metrics for Prometheus at /metrics.

    One exporter covers all managers and workers. It only reads from Redis. It keeps running while Redis is unavailable
    and then reports courier_up 0.
    """
    from ops.monitoring.exporter import run  # noqa: PLC0415 — `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
