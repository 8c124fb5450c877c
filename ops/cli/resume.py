"""`courier resume`: what `courier pause` stopped goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.admin.session import open_session
from ops.admin.terminal import plain, pluralize_waiting
from ops.cli.options import combined, example, integration_arguments, pass_settings, resolve, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier resume slack", "courier resume --removed slack-9562e1"))
@integration_arguments
@server_options
@pass_settings
def command(settings: Settings, ids: tuple[str, ...], words: tuple[str, ...], *, removed: bool) -> None:
    """Let paused integrations go on, at the pace that their limits allow; a name means all blocks of that name.

    A pause that the target itself asked for, and a breaker, end by themselves.
    """
    wanted = combined(ids, words)
    with open_session(settings) as door:
        for one in resolve(door, wanted, removed=removed):
            was_paused = door.ledger.resume(one)
            waiting = door.ledger.status(one).waiting
            click.echo(
                plain(
                    f"{door.label(one)} {'goes on' if was_paused else 'was not paused'}; {pluralize_waiting(waiting)}"
                )
            )
