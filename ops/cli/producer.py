"""`courier producer`: follows the manager's alert log and enqueues what matches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from common.logs import configure_logging
from ops.admin.stock_integrator import warn_if_running
from ops.cli.options import example, pass_settings, setting_option
from producer.alertlog.launch import end_at_launch

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier producer --node manager-1"))
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json.")
@setting_option("producer.node", help="Name of this manager; never change it.")
@setting_option("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting_option("state.dir", help="Folder for what Courier keeps on disk.")
@setting_option("metrics.port", help="Port of its metrics; 0 for none.")
@click.option("--start", default="", hidden=True, help="Where the log ended when `courier up` was started.")
@pass_settings
def command(settings: Settings, start: str) -> None:
    """Follow the alert log, match every alert and enqueue it per integration.

    SIGTERM ends it with every place in the log kept, and so does its terminal when it closes. Without a terminal,
    SIGHUP reads ossec.conf again.
    """
    start = start or end_at_launch(settings)
    from producer.main import run  # noqa: PLC0415 — Celery is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    warn_if_running(settings, logging.getLogger("courier.producer"))
    run(settings, start)
