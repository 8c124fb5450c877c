"""`courier replay-log`: queue the alerts of a period of the archived log again, at a limited rate."""

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
    check_conditions,
    combined,
    example,
    integration_option,
    pass_settings,
    server_options,
    setting_option,
)
from ops.cli.progress import show_bar
from producer.alertlog import AlertLog
from producer.configuration import read_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from common.settings.load import Settings

PROGRESS_INTERVAL_S: Final = 5.0


@click.command(
    epilog=example(
        "courier replay-log --integration slack --from 2h --dry-run",
        "courier replay-log --integration slack --from 2026-01-31T08:00:00Z --to 3h",
        "courier replay-log --integration slack --from 2h --match 'rule.id = 5710'",
    )
)
@click.option(
    "--from", "start", required=True, metavar="TIME", type=TimeParam(), help="Start of the period: a time, or 2h (ago)."
)
@click.option(
    "--to",
    "stop",
    default="now",
    show_default=True,
    metavar="TIME",
    type=TimeParam(),
    help="End of the period (exclusive).",
)
@integration_option
@click.option(
    "--match", multiple=True, metavar="CONDITION", help="Only alerts that also meet it; repeatable: all must hold."
)
@click.option("--rate", default=50.0, show_default=True, type=Rate(), help="Deliveries to queue per second.")
@click.option("--dry-run", is_flag=True, help="Only count matching alerts.")
@click.option("--again", is_flag=True, help="Replay a period that was already replayed.")
@setting_option("producer.config", help="The manager's ossec.conf.")
@setting_option("producer.alerts", help="The manager's alerts.json. Archived files are found relative to it.")
@setting_option("producer.node", help="Name of this manager.")
@server_options
@pass_settings
def command(
    settings: Settings,
    *,
    start: datetime,
    stop: datetime,
    words: tuple[str, ...],
    match: tuple[str, ...],
    rate: float,
    dry_run: bool,
    again: bool,
) -> None:
    """Queue the alerts of a past period again for an integration, from the archived alert logs.

    The current filters and conditions of the integration apply, but no silences. Deliveries that are still queued or
    are dead letters do not change. If a replay is interrupted, run the same command again to continue it.
    """
    if start >= stop:
        raise CourierError("--from must be earlier than --to")
    file = settings.producer.config
    configuration = read_configuration(settings)
    check_conditions("--match", match, configuration.conditions)
    chosen = in_configuration(configuration, combined((), words), file=file)
    click.echo(f"from {start.isoformat()} to {stop.isoformat()}", err=True)
    with open_session(settings) as session:
        for integration in chosen:
            replay = LogReplay(
                TimeRange(start=start, stop=stop),
                integration,
                match=match,
                node=settings.producer.node,
                source=AlertLog.of(settings.producer),
                ledger=session.ledger,
                policy=settings.policy(integration),
                pace=lambda count: time.sleep(count / rate),
                sleep=time.sleep,
                named_conditions=configuration.conditions,
                agents=configuration.agents,
            )
            last = _show(replay.count() if dry_run else replay.run(again=again))
            _report(last, f"{integration.id}: " if len(chosen) > 1 else "", dry_run=dry_run)


def _report(last: Progress, prefix: str, *, dry_run: bool) -> None:
    for missing in last.missing:
        click.echo(plain(f"missing from the log: {missing}"), err=True)
    done = "would be queued" if dry_run else f"queued, {last.matched - last.enqueued} already existed"
    number = last.matched if dry_run else last.enqueued
    click.echo(plain(f"{prefix}{last.read} read, {last.matched} matched, {number} {done}"))


def _show(steps: Iterator[Progress]) -> Progress:
    """Show a progress bar at a terminal, or a line every PROGRESS_INTERVAL_S seconds; return the last state."""
    if sys.stderr.isatty():
        return show_bar(steps, "replaying", lambda one: f"{one.read} read, {one.matched} matched") or Progress()
    last, shown_s = Progress(), time.monotonic()
    for last in steps:
        if time.monotonic() - shown_s >= PROGRESS_INTERVAL_S:
            shown_s = time.monotonic()
            click.echo(f"{last.part:.0%}: {last.read} read, {last.matched} matched", err=True)
    return last
