"""Follows a path as the kernel does, and says whether another user could make it lead to something else.

Whoever may write a folder can replace whatever is in it. So each folder from `/` down to the file must belong to root
or to the user of this process, and nobody else may write it. Then nobody can replace the file between a check and its
use either. A sticky folder such as /tmp is fine: only its owner can replace an entry there, and each owner is checked.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from common.permissions import WRITABLE_BY_OTHERS, user_name

_MAX_LINKS: Final = 40
"""As Linux has it (path_resolution(7))."""


class UntrustedPath(Exception):  # noqa: N818 — the caller makes an error of its own of it
    """Raised when another user could replace what a path leads to. Its text says where, and what to do."""


def is_trusted(uid: int) -> bool:
    """Say whether a file's owner is one who can do what this process does anyway."""
    return uid in {0, os.geteuid()}


def follow(path: str | os.PathLike[str], checked: set[str]) -> os.stat_result:
    """Return the status of what an absolute path leads to, of which only the owner and mode are left to judge.

    `checked` are folders that were found trusted just now; those of this path are added. Raises UntrustedPath, and
    OSError if there is nothing or it cannot be seen.
    """
    here, rest, links = "/", _parts(path), 0
    if here not in checked:
        _check_folder(here, os.lstat(here))
        checked.add(here)
    while rest:
        part = rest.pop()
        child = os.path.dirname(here) if part == ".." else f"{here.rstrip('/')}/{part}"  # noqa: PTH120 — as below
        if child in checked:
            here = child
            continue
        status = os.lstat(child)
        if stat.S_ISLNK(status.st_mode):
            _check_owner(child, status)
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(child)  # noqa: PTH115 — this runs for each script: texts take a fifth of the time
            here = "/" if target.startswith("/") else here
            rest += _parts(target)
        elif stat.S_ISDIR(status.st_mode):
            _check_folder(child, status)
            checked.add(child)
            here = child
        elif rest:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        else:
            return status
    return os.lstat(here)


def _parts(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of a path, the last one first."""
    return [part for part in reversed(os.fspath(path).split("/")) if part not in {"", "."}]


def _check_owner(path: str, status: os.stat_result) -> None:
    if not is_trusted(status.st_uid):
        raise UntrustedPath(
            f"{path} belongs to {user_name(status.st_uid)}, who could replace it; chown root mends that"
        )


def _check_folder(path: str, status: os.stat_result) -> None:
    _check_owner(path, status)
    if status.st_mode & WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        raise UntrustedPath(
            f"others may write the folder {path} (mode {status.st_mode & 0o7777:04o}), and replace what is in it; "
            "chmod go-w mends that"
        )
