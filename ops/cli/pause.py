"""`courier pause`: nothing more is sent of an integration; what comes in the meantime waits in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.access import access
from ops.cli.options import pass_settings, setting

if TYPE_CHECKING:
    from common.settings import Settings


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who look at `courier status`.")
@setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting("state.dir", help="State directory of `courier up`, where its server is found.")
@pass_settings
def command(settings: Settings, ids: tuple[str, ...], *, reason: str) -> None:
    """Send nothing more of these integrations until `courier resume`.

    What is being sent ends as ever, everything else waits, which costs no attempt; its dead letters can be replayed and
    wait as well. When the backlog is full, the alert log keeps the rest.
    """
    with access(settings) as door:
        for one in door.chosen(ids):
            fresh = door.ledger.pause(one, reason)
            waiting = door.ledger.status(one).waiting
            click.echo(f"{one} is {'paused' if fresh else 'paused already'}; {waiting} wait")
