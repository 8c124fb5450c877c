"""`courier check`: validate the manager's ossec.conf and the host before Courier runs."""

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
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON object, for scripts.")
@click.option(
    "--stock", is_flag=True, help="Print the read position of the running stock Integrator as a value for start_at."
)
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("state.dir", help="Courier's state folder.")
@pass_settings
@click.pass_context
def command(ctx: click.Context, settings: Settings, *, wants_json: bool, stock: bool) -> None:
    """Check ossec.conf: list its integrations, the alerts that each one matches, and all errors.

    The check covers the integration blocks, their scripts, the tables of the settings file, the alert log, the state
    folder and the queue socket. It exits with 78 if there is an error, and with 0 if there are only warnings. It sends
    nothing and does not need Redis.

    --stock replaces the check: it finds the running wazuh-integratord and prints its position in the alert log as an
    environment variable. With that variable, Courier starts at the same position. This needs root or the user of that
    process.
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
    """Write the stock Integrator's position: the variable to standard output, all explanations to standard error."""
    found = read_progress(settings.producer.alerts, running(), sleep=time.sleep)
    if wants_json:
        document = found._asdict() | {"position": str(found.position)}
        click.echo(printable_json(json.dumps({"version": VERSION} | document, indent=2)))
        return
    behind = f"{NAME} (pid {found.pid}) has not yet read the last {found.behind_bytes:,} bytes of {found.position.file}"
    click.echo(printable(behind), err=True)
    if not found.idle:
        click.echo("it is sending alerts now: Courier will send the last few of them again", err=True)
    if not found.dated:
        click.echo("the file name has no date: start Courier before the log is rotated", err=True)
    click.echo(printable(f"{FIXED[START_AT].variable}={found.position}"))
