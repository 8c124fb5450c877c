"""`courier flower`: Celery's own window, set up so that it shows and does not touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import example, pass_settings, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier flower", "courier flower --flower-port 5556"))
@setting_option("flower.address", help="Address to listen on.")
@setting_option("flower.port", help="Port to listen on; 0 takes a free one.")
@setting_option("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@pass_settings
def command(settings: Settings) -> None:
    """Show workers, queues and delivery tasks in a browser."""
    from ops.monitoring.flower.server import run  # noqa: PLC0415 — Flower is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
