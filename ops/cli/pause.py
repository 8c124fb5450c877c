"""`courier pause`: stop sending for an integration; new deliveries stay queued in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from common.timestamps import time_text
from ops.admin.session import open_session
from ops.admin.terminal import plain, pluralize
from ops.cli.options import (
    Duration,
    MomentParam,
    combined,
    end_ms,
    example,
    integration_arguments,
    pass_settings,
    resolve,
    server_options,
)

if TYPE_CHECKING:
    from datetime import datetime

    from common.settings.load import Settings


@click.command(
    epilog=example(
        "courier pause slack --for 2h --reason 'channel is being moved'", "courier pause slack-9562e1 custom-ticket"
    )
)
@integration_arguments
@click.option("--reason", metavar="TEXT", default="", help="Reason, shown in `courier status`.")
@click.option("--for", "for_s", metavar="DURATION", type=Duration(), help="End after this time, such as 30m or 2h.")
@click.option("--until", metavar="TIME", type=MomentParam(), help="End at this time, such as 2026-01-31T08:00:00Z.")
@server_options
@pass_settings
def command(
    settings: Settings,
    ids: tuple[str, ...],
    words: tuple[str, ...],
    for_s: float | None,
    until: datetime | None,
    *,
    removed: bool,
    reason: str,
) -> None:
    """Stop sending for these integrations until `courier resume`, or until the end given with --for or --until.

    Deliveries in flight finish. Everything else stays queued and uses no retry attempts. Replayed dead letters are
    queued too. When the backlog is full, further alerts stay in the alert log until there is room.
    """
    wanted = combined(ids, words)
    with open_session(settings) as session:
        until_ms = 0 if for_s is None and until is None else end_ms(session.ledger.now_ms(), for_s, until)
        end = f", until {time_text(until_ms)}" if until_ms else ""
        for one in resolve(session, wanted, removed=removed):
            fresh = session.ledger.pause(one, reason, until_ms=until_ms)
            waiting = session.ledger.status(one).waiting
            what = "paused" if fresh else "was already paused"
            click.echo(plain(f"{session.label(one)} {what}{end}; {pluralize(waiting, 'delivery')} waiting"))
