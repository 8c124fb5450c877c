"""`courier resume`: undo `courier pause`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.admin.session import open_session
from ops.admin.terminal import plain, pluralize
from ops.cli.options import combined, example, integration_arguments, pass_settings, resolve, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier resume slack", "courier resume --removed slack-9562e1"))
@integration_arguments
@server_options
@pass_settings
def command(settings: Settings, ids: tuple[str, ...], words: tuple[str, ...], *, removed: bool) -> None:
    """Resume paused integrations.

    Queued deliveries are sent as fast as the rate limits allow. This command does not close a circuit breaker and does
    not end a pause that the target requested; both end automatically.
    """
    wanted = combined(ids, words)
    with open_session(settings) as session:
        for one in resolve(session, wanted, removed=removed):
            was_paused = session.ledger.resume(one)
            waiting = session.ledger.status(one).waiting
            what = "resumed" if was_paused else "was not paused"
            click.echo(plain(f"{session.label(one)} {what}; {pluralize(waiting, 'delivery')} waiting"))
