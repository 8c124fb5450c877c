"""`courier init`: makes the keys and passwords of an installation, each once."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ops.cli.options import example
from ops.provision import Owner, Owners, hand_over, provision


def pair(_ctx: click.Context, option: click.Parameter, value: str | None) -> Owner | None:
    """Return `UID:GID` as two numbers: names mean something else in every container."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", value)
    if not found:
        raise click.BadParameter(f"{value!r} is no pair of numbers such as 999:999", param=option)
    return Owner(int(found[1]), int(found[2]))


FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(epilog=example("courier init /etc/courier", "courier init /run/courier --owner 999:999"))
@click.argument("folder", type=FOLDER)
@click.option("--owner", metavar="UID:GID", callback=pair, help="Who reads the files of Courier.")
@click.option("--redis-owner", metavar="UID:GID", callback=pair, help="Who reads redis.acl.")
@click.option("--grafana-owner", metavar="UID:GID", callback=pair, help="Who reads grafana.password.")
@click.option("--give", type=FOLDER, multiple=True, help="A further folder that becomes the owner's; repeatable.")
def command(
    folder: Path,
    owner: Owner | None,
    redis_owner: Owner | None,
    grafana_owner: Owner | None,
    give: tuple[Path, ...],
) -> None:
    """Make secret.key, redis.password, redis.acl, flower.login and grafana.password in FOLDER.

    What exists is kept. Only the paths are printed, never a secret. Options that name an owner need root.
    """
    if give and not owner:
        raise click.UsageError("--give needs --owner")
    for path, done in provision(folder, Owners(courier=owner, redis=redis_owner, grafana=grafana_owner)):
        click.echo(f"{done} {path}")
    for one in give:
        if owner:
            hand_over(one, owner)
            click.echo(f"given {one}")
