"""`courier producer`: follow the manager's alert log and queue matching alerts."""

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
@setting_option("producer.node", help="Unique name of this manager. Do not change it later.")
@setting_option("redis.url", help="URL of Redis. If it has a password, use COURIER_REDIS_URL.")
@setting_option("state.dir", help="Courier's state folder.")
@setting_option("metrics.port", help="Port for metrics; 0 disables them.")
@click.option("--start", default="", hidden=True, help="End of the log when `courier up` started.")
@pass_settings
def command(settings: Settings, start: str) -> None:
    """Follow the alert log and queue each alert for every integration that it matches.

    On SIGTERM, or when its terminal closes, it saves its cursors and stops. Without a terminal, SIGHUP reloads
    ossec.conf.
    """
    configure_logging(settings.log.level, settings.log.format)
    start = start or end_at_launch(settings)
    from producer.main import run  # noqa: PLC0415 — Celery is slow to import, and `--help` needs none of it

    warn_if_running(settings, logging.getLogger("courier.producer"))
    run(settings, start)
