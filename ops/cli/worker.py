"""`courier worker`: deliver queued alerts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from common.integration import Kind
from common.logs import configure_logging
from ops.cli.options import example, integration_option, pass_settings, setting_option

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(
    epilog=example("courier worker --http", "courier worker --scripts --manager", "courier worker --integration slack")
)
@integration_option
@click.option("--http", is_flag=True, help="Serve the built-in integrations: Slack, PagerDuty, email, …")
@click.option("--scripts", is_flag=True, help="Serve custom scripts; needs the manager's files.")
@click.option(
    "--manager", is_flag=True, help="Write lookup results to the manager's queue socket; needs it on this host."
)
@click.option("--name", metavar="NAME", help="Name in Flower and logs. [default: what it serves]")
@setting_option("worker.max_tasks", help="Maximum number of concurrent tasks.")
@setting_option("redis.url", help="URL of Redis. If it has a password, use COURIER_REDIS_URL.")
@setting_option("state.dir", help="State folder, with the secret key.")
@setting_option("metrics.port", help="Port for metrics; 0 disables them.")
@pass_settings
def command(
    settings: Settings, words: tuple[str, ...], name: str | None, *, http: bool, scripts: bool, manager: bool
) -> None:
    """Deliver queued alerts.

    Any number of workers can run, on any host. Without --http, --scripts, --manager or --integration, a worker serves
    all integrations. On SIGTERM it finishes its running tasks and stops.
    """
    from workers.delivery.served import Selection  # noqa: PLC0415 — as above
    from workers.main import run  # noqa: PLC0415 — Celery is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    flags = {Kind.HTTP: http, Kind.SCRIPT: scripts, Kind.MANAGER: manager}
    kinds = [kind for kind, wanted in flags.items() if wanted]
    if not kinds and not words:
        selection, default_name = Selection(), "all"
    else:
        selection = Selection(frozenset(kinds), frozenset(words))
        default_name = "+".join([*kinds, *words])
    sys.exit(run(settings, selection, name=name or default_name))
