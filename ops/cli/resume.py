"""`courier resume`: what `courier pause` stopped goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.access import access
from ops.cli.options import pass_settings, setting

if TYPE_CHECKING:
    from common.settings import Settings


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@setting("redis.url", help="The ledger's Redis. Better given as COURIER_REDIS_URL.")
@setting("state.dir", help="State directory of `courier up`, where its server is found.")
@pass_settings
def command(settings: Settings, ids: tuple[str, ...]) -> None:
    """Let paused integrations go on, at the pace that their limits allow.

    A pause that the target itself asked for, and a breaker, end by themselves.
    """
    with access(settings) as door:
        for one in door.chosen(ids):
            was_paused = door.ledger.resume(one)
            waiting = door.ledger.status(one).waiting
            click.echo(f"{one} {'goes on' if was_paused else 'was not paused'}; {waiting} wait")
