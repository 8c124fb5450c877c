"""`courier replay-log`: enqueues a stretch of the archived alert log once more, paced."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

from common.errors import CourierError
from ops.admin.names import in_configuration
from ops.admin.replay_log import LogReplay, Progress, TimeRange
from ops.admin.session import open_session
from ops.admin.terminal import plain
from ops.cli.options import (
    Rate,
    TimeParam,
    combined,
    example,
    integration_option,
    pass_settings,
    server_options,
    setting_option,
)
from producer.alertlog import AlertLog
from producer.ossec_conf import read_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from common.integration import Integration
    from common.settings.load import Settings

PROGRESS_INTERVAL_S: Final = 5.0


@click.command(
    epilog=example(
        "courier replay-log --integration slack --from 2h --dry-run",
        "courier replay-log --integration slack --from 2026-01-31T08:00:00Z --to 3h",
    )
)
@click.option(
    "--from", "start", required=True, metavar="TIME", type=TimeParam(), help="First moment to replay, or 2h ago."
)
@click.option(
    "--to", "stop", default="now", show_default=True, metavar="TIME", type=TimeParam(), help="Moment to stop before."
)
@integration_option
@click.option("--rate", default=50.0, show_default=True, type=Rate(), help="Deliveries a second.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--again", is_flag=True, help="Even if this very stretch was replayed before.")
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json; dated and compressed ones are found beside it.")
@setting_option("producer.node", help="Name of this manager.")
@server_options
@pass_settings
def command(
    settings: Settings,
    start: datetime,
    stop: datetime,
    words: tuple[str, ...],
    rate: float,
    *,
    dry_run: bool,
    again: bool,
) -> None:
    """Enqueue the alerts of a stretch of time once more for an integration, from the archived logs.

    Its filters apply as they are now. What still waits or lies dead is left as it is. An interrupted replay
    goes on where it was when it is called again. A name means all blocks of that name.
    """
    if start >= stop:
        raise CourierError("--from is not before --to")
    chosen = _integrations(settings, combined((), words))
    click.echo(f"from {start.isoformat()} to {stop.isoformat()}", err=True)
    with open_session(settings) as door:
        for integration in chosen:
            replay = LogReplay(
                TimeRange(start=start, stop=stop),
                integration,
                node=settings.producer.node,
                source=AlertLog(settings.producer.alerts, max_line_bytes=settings.producer.max_line_bytes),
                ledger=door.ledger,
                policy=settings.policy(integration),
                pace=lambda count: time.sleep(count / rate),
                sleep=time.sleep,
            )
            last = _show(replay.count() if dry_run else replay.run(again=again))
            _report(last, f"{integration.id}: " if len(chosen) > 1 else "", dry_run=dry_run)


def _report(last: Progress, whom: str, *, dry_run: bool) -> None:
    for missing in last.missing:
        click.echo(plain(f"not there: {missing}"), err=True)
    done = "would be enqueued" if dry_run else f"enqueued, {last.matched - last.enqueued} already there"
    number = last.matched if dry_run else last.enqueued
    click.echo(plain(f"{whom}{last.read} read, {last.matched} matched, {number} {done}"))


def _integrations(settings: Settings, words: list[str]) -> list[Integration]:
    file = settings.producer.config
    return in_configuration(read_ossec_conf(file), words, file=file)


def _show(steps: Iterator[Progress]) -> Progress:
    """Show a bar at a terminal, elsewhere a line now and then; return the last state."""
    if sys.stderr.isatty():
        return _show_bar(steps)
    last, told_s = Progress(), time.monotonic()
    for last in steps:
        if time.monotonic() - told_s >= PROGRESS_INTERVAL_S:
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
