"""`courier pause`: stop sending for an integration; new deliveries stay queued in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.admin.session import open_session
from ops.admin.terminal import format_waiting, plain
from ops.cli.options import combined, example, integration_arguments, pass_settings, resolve, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(
    epilog=example("courier pause slack --reason 'channel is being moved'", "courier pause slack-9562e1 custom-ticket")
)
@integration_arguments
@click.option("--reason", metavar="TEXT", default="", help="Reason, shown in `courier status`.")
@server_options
@pass_settings
def command(settings: Settings, ids: tuple[str, ...], words: tuple[str, ...], *, removed: bool, reason: str) -> None:
    """Stop sending for these integrations until `courier resume`.

    Deliveries in flight finish. Everything else stays queued and uses no retry attempts. Replayed dead letters are
    queued too. When the backlog is full, further alerts stay in the alert log until there is room.
    """
    wanted = combined(ids, words)
    with open_session(settings) as session:
        for one in resolve(session, wanted, removed=removed):
            fresh = session.ledger.pause(one, reason)
            waiting = session.ledger.status(one).waiting
            click.echo(
                plain(f"{session.label(one)} {'paused' if fresh else 'was already paused'}; {format_waiting(waiting)}")
            )
