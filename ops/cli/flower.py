"""`courier flower`: Flower, Celery's web UI, in read-only mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import example, pass_settings, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier flower", "courier flower --flower-port 5556"))
@setting_option("flower.address", help="Address to listen on.")
@setting_option("flower.port", help="Port to listen on; 0 chooses a free port.")
@setting_option("redis.url", help="URL of Redis. If it has a password, use COURIER_REDIS_URL.")
@pass_settings
def command(settings: Settings) -> None:
    """Serve Flower: workers, queues and delivery tasks in a browser, read-only."""
    from ops.monitoring.flower.server import run  # noqa: PLC0415 — Flower is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
