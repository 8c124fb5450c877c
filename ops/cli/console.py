"""`courier console`: one web page for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.cli.options import example, pass_settings, server_options, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier console", "courier console --console-port 5581"))
@setting_option("console.address", help="Address to listen on.")
@setting_option("console.port", help="Port to listen on; 0 chooses a free port.")
@setting_option("flower.port", help="Port of Flower, for the link to it.")
@setting_option("producer.config", help="The manager's ossec.conf, if this is its host: to explain alerts.")
@setting_option("producer.alerts", help="The manager's alerts.json, if this is its host: to explain its alerts.")
@setting_option("producer.node", help="Name of this manager.")
@server_options
@pass_settings
def command(settings: Settings) -> None:
    """Serve the console: integrations, sources, workers, the history, dead letters and silences, in a browser.

    Without a login (flower.basic_auth, or console.trusted_proxies) it is read-only.
    """
    from ops.console.server import run  # noqa: PLC0415 — slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    run(settings)
