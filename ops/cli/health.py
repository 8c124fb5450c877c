"""`courier health`: exit status 0 while a process makes progress."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from common.connection.client import connect
from ops.admin import health
from ops.admin.terminal import plain
from ops.cli.options import Group, example, pass_settings, server_options, setting_option
from ops.monitoring import probe
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.group(cls=Group, epilog=example("courier health producer", "courier health worker --name http"))
def command() -> None:
    """Check whether a process makes progress.

    Exits with 0 if it is healthy, 1 if not, and 75 if Redis is unavailable. The producer and the workers report their
    progress in Redis every second; the check reads the last report. Containers run the script courier-health
    instead, which says the same without starting Python.
    """


@command.command(epilog=example("courier health producer --node manager-1"))
@setting_option("producer.node", help="Node name of the manager.")
@setting_option("producer.alerts", help="The alert log, which must be readable.")
@server_options
@pass_settings
def producer(settings: Settings) -> None:
    """Check the producer of a manager."""
    with connect(redis_url(settings)) as client:
        click.echo(plain(health.producer(client, settings.producer.node, settings.producer.alerts)))


@command.command(epilog=example("courier health worker --name http"))
@click.option("--name", required=True, metavar="NAME", help="Value of --name at the start of the worker.")
@click.option("--host", default=socket.gethostname, metavar="HOST", help="Host of the worker. [default: this host]")
@server_options
@pass_settings
def worker(settings: Settings, name: str, host: str) -> None:
    """Check a worker process."""
    with connect(redis_url(settings)) as client:
        click.echo(plain(health.worker(client, f"{name}@{host}")))


@command.command(epilog=example("courier health flower"))
@setting_option("flower.address", help="Address that Flower listens on.")
@setting_option("flower.port", help="Port that Flower listens on.")
@pass_settings
def flower(settings: Settings) -> None:
    """Check Flower."""
    click.echo(plain(probe.flower(settings.flower)))


@command.command(epilog=example("courier health console"))
@setting_option("console.address", help="Address that the console listens on.")
@setting_option("console.port", help="Port that the console listens on.")
@pass_settings
def console(settings: Settings) -> None:
    """Check the console."""
    click.echo(plain(probe.console(settings.console)))


@command.command(epilog=example("courier health exporter"))
@setting_option("metrics.address", help="Address that the exporter listens on.")
@setting_option("metrics.port", help="Port that the exporter listens on; 0 means 9464.")
@pass_settings
def exporter(settings: Settings) -> None:
    """Check the exporter."""
    click.echo(plain(probe.exporter(settings.metrics)))
