"""Checks the owner and mode of the operator's files, and explains errors of permission.

`courier.toml` decides where alerts go and which variables scripts get, and files of secrets hold the login to Redis. A
user who can write or replace one of these files controls Courier, so Courier refuses files that other users can write.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from pathlib import Path
from typing import Final

from common.errors import SettingsError

WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
"""If a file has an access control list, the group bits are the maximum that the list grants (acl(5))."""

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""The longest file of settings or of a secret that is read: ten thousand integrations take less."""

_MAX_LINKS: Final = 40
"""Linux follows no more links to a file (path_resolution(7))."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


def read_trusted(path: Path, called: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a file that only root and the current user can write.

    The check includes the folder of the file and, if it is a link, the folders of all links that lead to the file,
    because a user who can write there can replace it. Read-only mounts, as Docker and Kubernetes create for settings
    and secrets, are trusted: root created them, and the owners and modes inside can be those of another machine.

    Raises OSError if the file cannot be read. Raises SettingsError, whose text starts with `called`, if other users can
    write it or if it has more than `max_bytes`.
    """
    path.stat()  # raises if the file is missing; then its folder does not matter
    real, mounts = path.resolve(), _read_only_mounts()
    # Before the file is opened: a pipe that another user put there would block, and /dev/zero would fill the memory.
    for folder in {*_folders(path), real.parent} - mounts:
        refuse_other_writers(folder, folder.stat(), called)
    with path.open("rb") as file:
        if not mounts & {real, real.parent}:
            refuse_other_writers(real, os.fstat(file.fileno()), called)
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:  # such as /dev/zero, which never ends
        raise SettingsError(f"{called}: {path} has more than {max_bytes:,} bytes; name the right file")
    return content


def _folders(path: Path) -> set[Path]:
    """Return the folder of a file, and those of the links that lead to it one after another."""
    folders = {path.parent.resolve()}
    for _ in range(_MAX_LINKS):
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
        folders.add(path.parent.resolve())
    return folders


def refuse_other_writers(path: Path, status: os.stat_result, called: str, *, owner: int = 0) -> None:
    """Raise SettingsError, starting with `called`, if users besides root and the current one can write `path`.

    `owner` is the id of another user who may.
    """
    name, uid = shlex.quote(str(path)), os.geteuid()
    if status.st_uid not in (0, uid, owner):
        raise SettingsError(
            f"{called}: refused, since {path} belongs to user {status.st_uid}, not to root or user {uid}; run Courier "
            f"as that user or, if you trust the file, run `chown {uid} {name}`"
        )
    if status.st_mode & WRITABLE_BY_OTHERS and not stat.S_ISCHR(status.st_mode):  # writing to /dev/null changes nothing
        is_shared = status.st_mode & stat.S_ISVTX  # such as /tmp
        remedy = "use a folder that only you can write" if is_shared else f"run `chmod go-w {name}`"
        raise SettingsError(
            f"{called}: refused, since other users can write {path}, mode {stat.S_IMODE(status.st_mode):04o}; {remedy}"
        )


def _read_only_mounts() -> set[Path]:
    """Return the mount points of read-only file systems (proc(5)), none where there is no /proc."""
    try:
        lines = os.fsdecode(_MOUNTS.read_bytes()).splitlines()
    except OSError:
        return set()
    options = {
        fields[4]: fields[5].split(",") for fields in map(str.split, lines)
    }  # the last mount on a path hides earlier ones
    return {Path(_unescaped(mount)) for mount, flags in options.items() if "ro" in flags}


def _unescaped(mount: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), mount)


def explain(error: OSError) -> str:
    """Return the system's error text; for a missing permission also the current user, the file's owner and a remedy."""
    text = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return text
    ran_as = f"{text} for user {os.geteuid()} and group {os.getegid()}"
    remedy = "run as a user or group with access (compose: COURIER_UID, COURIER_GID in .env)"
    return f"{ran_as}{_owner(error.filename)}; {remedy}"


def _owner(path: str | None) -> str:
    """Return owner and mode of the file, an empty text if they cannot be read."""
    if path is None:
        return ""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ""
    return f"; it belongs to {status.st_uid}:{status.st_gid}, mode {status.st_mode & 0o7777:04o}"


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if there is no name, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
