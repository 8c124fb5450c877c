"""`courier flower`: Celery's own window, set up so that it shows and does not touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import pass_settings, setting

if TYPE_CHECKING:
    from common.settings import Settings


@click.command()
@setting("flower.address", help="Address to listen on.")
@setting("flower.port", help="Port to listen on; 0 takes a free one.")
@pass_settings
def command(settings: Settings) -> None:
    """Show workers, queues and delivery tasks in a browser."""
    from ops.flower.server import run  # noqa: PLC0415 — Flower is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
