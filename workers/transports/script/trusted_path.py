"""Resolves a path as the kernel does, and checks that no other user could make it lead to another file.

A user who can write a folder can replace any file in it. So each folder from `/` down to the file must belong to root
or to the user of this process, and no other user may have write permission. Then no other user can replace the file
between the check and its use either. A sticky folder such as /tmp is allowed: only the owner of an entry can replace it
there, and the owner of each entry is checked.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from common.permissions import WRITABLE_BY_OTHERS, user_name

_MAX_LINKS: Final = 40
"""Symbolic links that Linux follows in one path (path_resolution(7))."""


class UntrustedPath(Exception):  # noqa: N818 — the caller converts it to its own error
    """Another user could replace the file of a path. The text says where, and what to do."""


def is_trusted(uid: int) -> bool:
    """Return whether a file's owner has the rights of this process anyway: root or its own user."""
    return uid in {0, os.geteuid()}


def follow(path: str | os.PathLike[str], checked: set[str]) -> os.stat_result:
    """Return the status of the file of an absolute path. The caller checks the owner and mode of the file itself.

    `checked` are folders that were just found to be trusted; the folders of this path are added. Raises UntrustedPath,
    or OSError if the file does not exist or is not accessible.
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
            target = os.readlink(child)  # noqa: PTH115 — this runs for each script: strings take a fifth of the time
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
    """Return the components of a path, the last one first: `follow` pops them from the end."""
    return [part for part in reversed(os.fspath(path).split("/")) if part not in {"", "."}]


def _check_owner(path: str, status: os.stat_result) -> None:
    if not is_trusted(status.st_uid):
        raise UntrustedPath(f"{path} belongs to {user_name(status.st_uid)}, who could replace it; run chown root")


def _check_folder(path: str, status: os.stat_result) -> None:
    _check_owner(path, status)
    if status.st_mode & WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
        raise UntrustedPath(
            f"other users can write the folder {path} (mode {status.st_mode & 0o7777:04o}) and replace the files in it"
            "; run chmod go-w"
        )
