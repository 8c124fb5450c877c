"""`courier release`: end the hold of deliveries before the end of their window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.admin.hold_reason import describe_holds
from ops.admin.period import held_with_groups, release_held
from ops.admin.session import open_session
from ops.admin.terminal import plain
from ops.cli.options import combined, example, integration_arguments, pass_settings, resolve, server_options

if TYPE_CHECKING:
    from common.settings.load import Settings


@click.command(epilog=example("courier release slack", "courier release slack --dry-run"))
@integration_arguments
@click.option("--dry-run", is_flag=True, help="Only show how many are held until when.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
@pass_settings
def command(
    settings: Settings, ids: tuple[str, ...], words: tuple[str, ...], *, removed: bool, dry_run: bool, yes: bool
) -> None:
    """Send the deliveries of these integrations that are held until the end of a window.

    They are sent as fast as rate limits, pauses and breakers allow. While the window lasts, new alerts are held again.
    To stop that, remove `hold` from the settings.
    """
    wanted = combined(ids, words)
    with open_session(settings) as session:
        chosen = resolve(session, wanted, removed=removed)
        now_ms = session.ledger.now_ms()
        statuses = session.ledger.statuses(chosen)
        held = {
            one: found
            for one, status in statuses.items()
            if (found := held_with_groups(session.ledger, one, status.held, open_groups=status.groups))
        }
        for one in chosen:
            click.echo(plain(f"{session.label(one)}: {describe_holds(held.get(one, {}), now_ms) or 'nothing is held'}"))
        if dry_run or not held:
            return
        if not yes:
            total = sum(sum(each.values()) for each in held.values())
            click.confirm(f"Release {total:,} held {'delivery' if total == 1 else 'deliveries'}?", abort=True)
        for one in held:
            click.echo(plain(f"{session.label(one)}: {release_held(session.ledger, one):,} released"))
