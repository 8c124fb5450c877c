"""`courier init`: makes the keys and passwords of an installation, each once."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ops.admin.init_secrets import Owner, Owners, chown, provision
from ops.cli.options import example


def parse_owner(_ctx: click.Context, option: click.Parameter, value: str | None) -> Owner | None:
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
@click.option("--owner", metavar="UID:GID", callback=parse_owner, help="Who reads the folders of Courier's roles.")
@click.option("--redis-owner", metavar="UID:GID", callback=parse_owner, help="Who reads the folder redis.")
@click.option("--grafana-owner", metavar="UID:GID", callback=parse_owner, help="Who reads the folder grafana.")
@click.option("--give", type=FOLDER, multiple=True, help="A further folder that becomes the owner's; repeatable.")
@click.option("--give-redis", type=FOLDER, help="A folder that becomes the Redis owner's, with all that is in it.")
def command(
    folder: Path,
    *,
    owner: Owner | None,
    redis_owner: Owner | None,
    grafana_owner: Owner | None,
    give: tuple[Path, ...],
    give_redis: Path | None,
) -> None:
    """Make the keys and passwords of an installation in FOLDER, and a folder for each role with those that it needs.

    FOLDER/redis/redis.acl is the ACL file with a user for each role. What exists is kept. Only the paths are printed,
    never a secret. Options that name an owner need root.
    """
    if give and not owner:
        raise click.UsageError("--give needs --owner")
    if give_redis and not redis_owner:
        raise click.UsageError("--give-redis needs --redis-owner")
    for one in give:
        if owner:
            chown(one, owner)
            click.echo(f"given {one}")
    if give_redis and redis_owner:  # before Redis finds its ACL file and starts
        chown(give_redis, redis_owner, whole=True)
        click.echo(f"given {give_redis}")
    for path, done in provision(folder, Owners(courier=owner, redis=redis_owner, grafana=grafana_owner)):
        click.echo(f"{done} {path}")
