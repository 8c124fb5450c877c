"""`courier replay-log`: enqueues a stretch of the archived alert log once more, paced."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from common.errors import CourierError
from common.ossec_conf import read_ossec_conf
from ops.access import access
from ops.cli.options import Rate, pass_settings, setting
from ops.replay_log import LogReplay, Progress, Stretch
from producer.alertlog import AlertLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.integration import Integration
    from common.settings import Settings

TELL_EVERY_S: Final = 5.0


def moment(_ctx: click.Context, option: click.Parameter, value: str) -> datetime:
    """Return a time with its zone; without one it is this machine's."""
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no time; write 2026-01-31T08:00:00 or 2026-01-31T08:00:00Z", param=option
        ) from None


@click.command()
@click.option("--from", "start", required=True, metavar="TIME", callback=moment, help="First moment to replay.")
@click.option("--to", "stop", required=True, metavar="TIME", callback=moment, help="Moment to stop before.")
@click.option("--integration", "integration_id", required=True, metavar="ID", help="Whom to enqueue it for.")
@click.option("--rate", default=50.0, show_default=True, type=Rate(), help="Deliveries a second.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--again", is_flag=True, help="Even if this very stretch was replayed before.")
@setting("producer.config", help="The manager's ossec.conf.")
@setting("producer.alerts", help="The manager's alerts.json; dated and compressed ones are found beside it.")
@setting("producer.node", help="Name of this manager.")
@setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting("state.dir", help="State directory of `courier up`, where its server is found.")
@pass_settings
def command(
    settings: Settings,
    start: datetime,
    stop: datetime,
    integration_id: str,
    rate: float,
    *,
    dry_run: bool,
    again: bool,
) -> None:
    """Enqueue the alerts of a stretch of time once more for one integration, from the archived logs.

    Its filters apply as they are now. What still waits or lies dead is left as it is. An interrupted replay
    goes on where it was when it is called again.
    """
    if start >= stop:
        raise CourierError("--from is not before --to")
    integration = _integration(settings, integration_id)
    with access(settings) as door:
        replay = LogReplay(
            Stretch(start=start, stop=stop),
            integration,
            node=settings.producer.node,
            source=AlertLog(settings.producer.alerts, max_line_bytes=settings.producer.max_line_bytes),
            ledger=door.ledger,
            policy=settings.policy(integration),
            pace=lambda count: time.sleep(count / rate),
            sleep=time.sleep,
        )
        last = _show(replay.count() if dry_run else replay.run(again=again))
    for missing in last.missing:
        click.echo(f"not there: {missing}", err=True)
    done = "would be enqueued" if dry_run else f"enqueued, {last.matched - last.enqueued} were there already"
    number = last.matched if dry_run else last.enqueued
    click.echo(f"{last.read} read, {last.matched} matched, {number} {done}")


def _integration(settings: Settings, integration_id: str) -> Integration:
    known = {one.id: one for one in read_ossec_conf(settings.producer.config).integrations}
    if integration_id not in known:
        raise CourierError(f"ossec.conf has no integration {integration_id!r}; there are: {', '.join(sorted(known))}")
    return known[integration_id]


def _show(steps: Iterator[Progress]) -> Progress:
    """Show a bar at a terminal, elsewhere a line now and then; return the last state."""
    if sys.stderr.isatty():
        return _show_bar(steps)
    last, told_s = Progress(), time.monotonic()
    for last in steps:
        if time.monotonic() - told_s >= TELL_EVERY_S:
            told_s = time.monotonic()
            click.echo(f"{last.part:.0%}: {last.read} read, {last.matched} matched", err=True)
    return last


def _show_bar(steps: Iterator[Progress]) -> Progress:
    from rich.console import Console  # noqa: PLC0415 — slow to import, and needed only at a terminal
    from rich.progress import Progress as Bar  # noqa: PLC0415 — as above

    last = Progress()
    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("replaying", total=1.0)
        for last in steps:
            bar.update(task, completed=last.part, description=f"{last.read} read, {last.matched} matched")
        bar.update(task, completed=1.0)
    return last
