"""`courier init`: create the keys and passwords of an installation."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ops.admin.init_secrets import Owner, Owners, chown, provision
from ops.cli.options import example


def parse_owner(_ctx: click.Context, option: click.Parameter, value: str | None) -> Owner | None:
    """Return `UID:GID` as two numbers. Names are refused, because each container maps them differently."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not UID:GID in numbers; use a value such as 999:999", param=option)
    return Owner(int(found[1]), int(found[2]))


FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(epilog=example("courier init /etc/courier", "courier init /run/courier --owner 999:999"))
@click.argument("folder", type=FOLDER)
@click.option("--owner", metavar="UID:GID", callback=parse_owner, help="Owner of the folders of Courier's roles.")
@click.option("--redis-owner", metavar="UID:GID", callback=parse_owner, help="Owner of the folder redis.")
@click.option("--grafana-owner", metavar="UID:GID", callback=parse_owner, help="Owner of the folder grafana.")
@click.option("--give", type=FOLDER, multiple=True, help="Another folder to give to --owner; repeatable.")
@click.option("--give-redis", type=FOLDER, help="Folder to give to --redis-owner, with all its files.")
def command(
    folder: Path,
    *,
    owner: Owner | None,
    redis_owner: Owner | None,
    grafana_owner: Owner | None,
    give: tuple[Path, ...],
    give_redis: Path | None,
) -> None:
    """Create the keys and passwords of an installation in FOLDER.

    Each role gets a subfolder with copies of the secrets that it needs. FOLDER/redis/redis.acl is the Redis ACL file,
    with one user per role. Existing secrets are kept. The command prints paths, never secrets. The owner options need
    root.
    """
    if give and not owner:
        raise click.UsageError("--give needs --owner")
    if give_redis and not redis_owner:
        raise click.UsageError("--give-redis needs --redis-owner")
    for one in give:
        if owner:
            chown(one, owner)
            click.echo(f"owner changed {one}")
    if give_redis and redis_owner:  # must be done before the ACL file exists, because Redis starts when it finds it
        chown(give_redis, redis_owner, whole=True)
        click.echo(f"owner changed {give_redis}")
    for path, done in provision(folder, Owners(courier=owner, redis=redis_owner, grafana=grafana_owner)):
        click.echo(f"{done} {path}")
