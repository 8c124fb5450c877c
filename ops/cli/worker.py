"""`courier worker`: delivers what was enqueued."""

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
@click.option("--http", is_flag=True, help="Serve the native integrations: Slack, PagerDuty, …")
@click.option("--scripts", is_flag=True, help="Serve the custom scripts; runs beside the manager's files.")
@click.option("--manager", is_flag=True, help="Inject verdicts into the manager's queue socket; runs beside it.")
@click.option("--name", metavar="NAME", help="Name in Flower and logs. [default: what it serves]")
@setting_option("worker.max_tasks", help="Tasks at once in this process.")
@setting_option("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting_option("state.dir", help="Folder with the secret key.")
@setting_option("metrics.port", help="Port of its metrics; 0 for none.")
@pass_settings
def command(
    settings: Settings, words: tuple[str, ...], name: str | None, *, http: bool, scripts: bool, manager: bool
) -> None:
    """Deliver what was enqueued; any number of workers may run, on any host.

    Without an option it serves everything. SIGTERM lets it finish what is running.
    """
    from workers.delivery.served import Selection  # noqa: PLC0415 — as above
    from workers.main import run  # noqa: PLC0415 — Celery is slow to import, and `--help` needs none of it

    configure_logging(settings.log.level, settings.log.format)
    flags = {Kind.HTTP: http, Kind.SCRIPT: scripts, Kind.MANAGER: manager}
    kinds = [kind for kind, wanted in flags.items() if wanted]
    if not kinds and not words:
        selection, called = Selection(), "all"
    else:
        selection = Selection(frozenset(kinds), frozenset(words))
        called = "+".join([*kinds, *words])
    sys.exit(run(settings, selection, name=name or called))
