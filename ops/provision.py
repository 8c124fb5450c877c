"""The secrets of an installation: each made once, at random, in a file that one user can read.

There is no default password anywhere: what is not given by an operator is made here. A file that exists is kept, so
an operator may write one beforehand, and running it again changes nothing. To have one renewed, delete it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.fernet import Fernet

from common.errors import SettingsError
from common.files import is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET_KEY: Final = "secret.key"  # noqa: S105 — the name of a file
REDIS_PASSWORD: Final = "redis.password"  # noqa: S105 — the name of a file
FLOWER_LOGIN: Final = "flower.login"
GRAFANA_PASSWORD: Final = "grafana.password"  # noqa: S105 — the name of a file
REDIS_ACL: Final = "redis.acl"

_PRIVATE: Final = 0o600
_PASSABLE: Final = 0o711
"""Several users find their own file in the folder, none can list it."""


class Owner(NamedTuple):
    """A user and a group by number."""

    uid: int
    gid: int


class Owners(NamedTuple):
    """Who reads which files; None leaves them to whoever makes them."""

    courier: Owner | None = None
    redis: Owner | None = None
    grafana: Owner | None = None


def provision(folder: Path, owners: Owners) -> Iterator[tuple[Path, str]]:
    """Make what is missing in `folder` and yield each file with what was done. Raises SettingsError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(owners):
            folder.chmod(_PASSABLE)
        for name, owner, make in (
            (SECRET_KEY, owners.courier, lambda: Fernet.generate_key().decode()),
            (REDIS_PASSWORD, owners.courier, _password),
            (FLOWER_LOGIN, owners.courier, lambda: f"courier:{_password()}"),
            (GRAFANA_PASSWORD, owners.grafana, _password),
        ):
            yield folder / name, _make_once(folder / name, owner, make)
        yield folder / REDIS_ACL, _keep_acl(folder, owners.redis)
    except OSError as error:
        where = error.filename or folder
        raise SettingsError(f"{where}: {error.strerror or error}; name a folder that can be written") from None


def hand_over(folder: Path, owner: Owner) -> None:
    """Make `owner` the owner of `folder` itself. Raises SettingsError."""
    try:
        os.chown(folder, *owner)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot be given to {owner.uid}:{owner.gid}: {error.strerror}") from None


def acl_lines(password: str) -> list[str]:
    """Return our lines of an ACL file: everybody needs `password`, of which it holds only the SHA-256.

    A health check, which has no password, may ask whether the server answers.
    """
    digest = hashlib.sha256(password.encode()).hexdigest()
    return [f"user default on #{digest} ~* &* +@all", "user health on nopass resetkeys resetchannels -@all +ping"]


def _password() -> str:
    return secrets.token_urlsafe(24)


def _make_once(path: Path, owner: Owner | None, make: Callable[[], str]) -> str:
    done = "kept"
    if not is_there(path):
        _write(path, make() + "\n")
        done = "made"
    _give(path, owner)
    return done


def _keep_acl(folder: Path, owner: Owner | None) -> str:
    """Let Redis know the password; lines of further users, such as workers elsewhere, stay."""
    path = folder / REDIS_ACL
    ours = acl_lines((folder / REDIS_PASSWORD).read_text().strip())
    lines = path.read_text().splitlines() if is_there(path) else []
    others = [line for line in lines if not line.startswith(("user default ", "user health "))]
    done = "kept"
    if lines != [*ours, *others]:
        _write(path, "\n".join([*ours, *others]) + "\n")
        done = "rewritten" if lines else "made"
    _give(path, owner)
    return done


def _write(path: Path, content: str) -> None:
    """Write the whole file or none of it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _give(path: Path, owner: Owner | None) -> None:
    if owner:
        os.chown(path, *owner)
