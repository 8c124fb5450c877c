"""The secrets of an installation, created once at random, and a folder per role with the secrets that it needs.

    FOLDER/                  for the administrator: every secret, and `redis.acl`, to which users can be added
    FOLDER/ROLE/             `redis.password` of that role, and its secrets from `ops.admin.redis_roles`
    FOLDER/redis/, grafana/  `redis.acl`, `grafana.password`

There are no default passwords. Existing files in FOLDER are kept, so an operator can provide a secret beforehand, and
a second run changes nothing. To renew a secret, delete its file and run the command again. The files in the role
folders are copies.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.fernet import Fernet

from common.errors import SettingsError
from common.files import exists
from ops.admin.redis_roles import FLOWER_LOGIN, ROLES, SECRET_KEY, acl_lines, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REDIS_PASSWORD: Final = "redis.password"  # noqa: S105 — the name of a file
GRAFANA_PASSWORD: Final = "grafana.password"  # noqa: S105 — the name of a file
REDIS_ACL: Final = "redis.acl"

_PRIVATE: Final = 0o600


class Owner(NamedTuple):
    """A numeric user id and group id."""

    uid: int
    gid: int


class Owners(NamedTuple):
    """The owners of the folders; None means the user that runs the command."""

    courier: Owner | None = None
    redis: Owner | None = None
    grafana: Owner | None = None


class _Copy(NamedTuple):
    """A file and the path of its copy, both relative to FOLDER."""

    source: str
    target: str
    owner: Owner | None


def provision(folder: Path, owners: Owners) -> Iterator[tuple[Path, str]]:
    """Create missing files in `folder` and yield each file with `created`, `kept` or `updated`. Raises SettingsError.

    The file for Redis comes last: a process that waits for it then finds all other files.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, make in (
            (SECRET_KEY, lambda: Fernet.generate_key().decode()),
            (REDIS_PASSWORD, _password),
            *((_password_of(role.name), _password) for role in ROLES),
            (FLOWER_LOGIN, lambda: f"courier:{_password()}"),
            (GRAFANA_PASSWORD, _password),
        ):
            yield folder / name, _create_once(folder / name, make)
        yield folder / REDIS_ACL, _write_acl(folder)
        for copy in _copies(owners):
            yield folder / copy.target, _copy(folder, copy)
    except OSError as error:
        where = error.filename or folder
        raise SettingsError(f"{where}: {error.strerror or error}; choose a writable folder") from None


def chown(folder: Path, owner: Owner, *, whole: bool = False) -> None:
    """Change the owner of `folder`, and of all its content if `whole`. Raises SettingsError."""
    try:
        for path in (folder, *(folder.rglob("*") if whole else ())):
            os.chown(path, *owner, follow_symlinks=path == folder)
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot change the owner to {owner.uid}:{owner.gid}: {error.strerror}; run as root"
        ) from None


def _copies(owners: Owners) -> Iterator[_Copy]:
    for role in ROLES:
        yield _Copy(_password_of(role.name), f"{role.name}/{REDIS_PASSWORD}", owners.courier)
        yield from (_Copy(name, f"{role.name}/{name}", owners.courier) for name in role.secrets)
    yield _Copy(GRAFANA_PASSWORD, f"grafana/{GRAFANA_PASSWORD}", owners.grafana)
    yield _Copy(REDIS_ACL, f"redis/{REDIS_ACL}", owners.redis)


def _password_of(role: str) -> str:
    return f"redis-{role}.password"


def _password() -> str:
    return secrets.token_urlsafe(24)


def _create_once(path: Path, make: Callable[[], str]) -> str:
    done = "kept"
    if not exists(path):
        _write(path, make() + "\n")
        done = "created"
    _chown(path, Owner(os.geteuid(), os.getegid()))  # an earlier version gave it to the user of the services
    return done


def _copy(folder: Path, copy: _Copy) -> str:
    target, content, done = folder / copy.target, (folder / copy.source).read_text(), "kept"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    target.parent.chmod(0o700)
    if not exists(target) or target.read_text() != content:
        done = "updated" if exists(target) else "created"
        _write(target, content)
    _chown(target, copy.owner)
    _chown(target.parent, copy.owner)
    return done


def _write_acl(folder: Path) -> str:
    """Write the roles and their passwords to redis.acl, and keep the lines of other users.

    Passwords that an operator added to a role are kept; the previous password of a renewed one is removed.
    """
    path = folder / REDIS_ACL
    lines = path.read_text().splitlines() if exists(path) else []
    passwords = {role.name: (folder / _password_of(role.name)).read_text().strip() for role in ROLES}
    ours = list(acl_lines(passwords, (folder / REDIS_PASSWORD).read_text().strip()))
    theirs = {line.split()[1]: line for line in lines if line.startswith("user ")}
    for n, line in enumerate(ours):
        _, name, _, password, *_ = line.split()
        if name in passwords and name in theirs:
            former = folder / name / REDIS_PASSWORD
            outdated = {password, f"#{digest(former.read_text().strip())}"} if exists(former) else {password}
            added = [one for one in re.findall(r"#[0-9a-f]{64}", theirs[name]) if one not in outdated]
            ours[n] = line.replace(password, " ".join((password, *added)), 1)
    known = {line.split()[1] for line in ours}
    wanted = [*ours, *(line for line in lines if not line.startswith(tuple(f"user {name} " for name in known)))]
    done = "kept"
    if lines != wanted:
        _write(path, "\n".join(wanted) + "\n")
        done = "updated" if lines else "created"
    _chown(path, Owner(os.geteuid(), os.getegid()))
    return done


def _write(path: Path, content: str) -> None:
    """Write the file atomically: a temporary file, fsync, rename."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _chown(path: Path, owner: Owner | None) -> None:
    if owner:
        os.chown(path, *owner)
