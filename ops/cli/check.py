"""`courier check`: what Courier makes of the manager's ossec.conf, before anything runs on it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from common.errors import ConfigError
from ops.check import as_json, make_report, show
from ops.check.show import refused_as_json
from ops.cli.main import EX_CONFIG
from ops.cli.options import pass_settings, setting

if TYPE_CHECKING:
    from common.settings import Settings


@click.command()
@click.option("--json", "wants_json", is_flag=True, help="One JSON object, for scripts.")
@setting("producer.config", help="The manager's ossec.conf.")
@setting("producer.alerts", help="The manager's alerts.json.")
@setting("state.dir", help="Folder for what Courier keeps on disk.")
@pass_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, *, wants_json: bool) -> None:
    """Show the integrations of ossec.conf, the alerts that each would take, and everything that is wrong.

    Looks at the blocks, their scripts, the settings' tables, the alert log, the state folder and the queue socket.
    Exits with 0 if there is no error, else with 78; warnings do not count. Nothing is sent and Redis is not needed.

    Example: courier check --config /var/ossec/etc/courier.conf
    """
    try:
        report = make_report(settings, clock=time.monotonic)
    except ConfigError as error:
        if not wants_json:
            raise
        click.echo(json.dumps(refused_as_json(str(settings.producer.config), str(error)), indent=2))
        ctx.exit(EX_CONFIG)
    if wants_json:
        click.echo(json.dumps(as_json(report), indent=2))
    else:
        show(report)
    ctx.exit(0 if report.passed else EX_CONFIG)
