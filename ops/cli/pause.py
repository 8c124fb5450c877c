"""`courier pause`: nothing more is sent of an integration; what comes in the meantime waits in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.admin.session import open_session
from ops.admin.terminal import plain, pluralize_waiting
from ops.cli.options import combined, example, integration_arguments, pass_settings, resolve, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(
    epilog=example("courier pause slack --reason 'channel is being moved'", "courier pause slack-9562e1 custom-ticket")
)
@integration_arguments
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who look at `courier status`.")
@server_options
@pass_settings
def command(settings: Settings, ids: tuple[str, ...], words: tuple[str, ...], *, removed: bool, reason: str) -> None:
    """Send nothing more of these integrations until `courier resume`; a name means all blocks of that name.

    What is being sent ends as ever, everything else waits, which costs no attempt; its dead letters can be replayed and
    wait as well. When the backlog is full, the alert log keeps the rest.
    """
    wanted = combined(ids, words)
    with open_session(settings) as door:
        for one in resolve(door, wanted, removed=removed):
            fresh = door.ledger.pause(one, reason)
            waiting = door.ledger.status(one).waiting
            click.echo(
                plain(f"{door.label(one)} is {'paused' if fresh else 'paused already'}; {pluralize_waiting(waiting)}")
            )
