"""`courier health`: exit status 0 as long as a process makes progress, for a container's health check."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from common.connection.client import connect
from ops.admin import health
from ops.admin.terminal import plain
from ops.cli.options import Group, example, pass_settings, server_options, setting_option
from ops.standalone.state_dir import redis_url

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.group(cls=Group, epilog=example("courier health producer", "courier health worker --name http"))
def command() -> None:
    """Tell whether a process makes progress, by what it told last. Exits with 0 if so, 1 if not, 75 without Redis."""


@command.command(epilog=example("courier health producer --node manager-1"))
@setting_option("producer.node", help="Name of its manager.")
@setting_option("producer.alerts", help="The alert log, which it must be able to read.")
@server_options
@pass_settings
def producer(settings: Settings) -> None:
    """Ask about the producer of a manager."""
    with connect(redis_url(settings)) as client:
        click.echo(plain(health.producer(client, settings.producer.node, settings.producer.alerts)))


@command.command(epilog=example("courier health worker --name http"))
@click.option("--name", required=True, metavar="NAME", help="The name that the worker was started with.")
@click.option("--host", default=socket.gethostname, metavar="HOST", help="Its host. [default: this one]")
@server_options
@pass_settings
def worker(settings: Settings, name: str, host: str) -> None:
    """Ask about a worker process."""
    with connect(redis_url(settings)) as client:
        click.echo(plain(health.worker(client, f"{name}@{host}")))


@command.command(epilog=example("courier health flower"))
@setting_option("flower.address", help="Where it listens.")
@setting_option("flower.port", help="Its port.")
@pass_settings
def flower(settings: Settings) -> None:
    """Ask Flower."""
    click.echo(plain(health.flower(settings.flower)))
