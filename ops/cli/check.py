"""`courier check`: what Courier makes of the manager's ossec.conf, before anything runs on it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from common.errors import ConfigError
from common.printable import printable, printable_json
from common.settings.schema import DEFAULT, INTEGRATIONS
from common.settings.sources import FIXED
from ops.admin.check import as_json, make_report, show
from ops.admin.check.show import VERSION, refused_as_json
from ops.admin.stock_integrator import NAME, read_progress, running
from ops.cli.main import EX_CONFIG
from ops.cli.options import example, pass_settings, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


START_AT = (INTEGRATIONS, DEFAULT, "start_at")


@click.command(epilog=example("courier check", "courier check --config my-ossec.conf", "courier check --stock"))
@click.option("--json", "wants_json", is_flag=True, help="One JSON object, for scripts.")
@click.option("--stock", is_flag=True, help="Print where the running stock Integrator is, as a value of start_at.")
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("state.dir", help="Folder for what Courier keeps on disk.")
@pass_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, *, wants_json: bool, stock: bool) -> None:
    """Show the integrations of ossec.conf, the alerts that each would take, and everything that is wrong.

    Looks at the blocks, their scripts, the settings' tables, the alert log, the state folder and the queue socket.
    Exits with 0 if there is no error, else with 78; warnings do not count. Nothing is sent and Redis is not needed.

    With --stock it looks at nothing else: it finds the running wazuh-integratord and prints how far in the alert log it
    has come, as the variable that makes Courier go on there. Needs root, or the user of that process.
    """
    if stock:
        show_stock(settings, wants_json=wants_json)
        return
    try:
        report = make_report(settings, clock=time.monotonic)
    except ConfigError as error:
        if not wants_json:
            raise
        click.echo(printable_json(json.dumps(refused_as_json(str(settings.producer.config), str(error)), indent=2)))
        ctx.exit(EX_CONFIG)
    if wants_json:
        click.echo(printable_json(json.dumps(as_json(report), indent=2)))
    else:
        show(report)
    ctx.exit(0 if report.passed else EX_CONFIG)


def show_stock(settings: Settings, *, wants_json: bool) -> None:
    """Write where the stock Integrator is: the variable alone to standard output, the explanation to the other."""
    found = read_progress(settings.producer.alerts, running(), sleep=time.sleep)
    if wants_json:
        told = found._asdict() | {"position": str(found.position)}
        click.echo(printable_json(json.dumps({"version": VERSION} | told, indent=2)))
        return
    behind = f"{NAME} ({found.pid}) has not read the last {found.behind_bytes:,} bytes of {found.position.file}"
    click.echo(printable(behind), err=True)
    if not found.idle:
        click.echo("it is sending right now: the last few alerts that it has sent come again", err=True)
    if not found.dated:
        click.echo("this file has no dated name: start Courier before the log is rotated", err=True)
    click.echo(printable(f"{FIXED[START_AT].variable}={found.position}"))
