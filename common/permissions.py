"""Who may read and write the operator's files: why one cannot be read, and which one Courier does not take.

`courier.toml` says where the alerts go and with which variables scripts run, and the files of secrets log in to Redis.
Whoever can write one of them, or put another one in its place, decides that.
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
"""With an access list, the group's bits are the most that the list grants to anybody (acl(5))."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


def read_trusted(path: Path, called: str) -> bytes:
    """Return the content of a file that nobody but root and the present user can have written.

    Its folder counts as well, and the one that a link leads to: whoever can write there can put another file in its
    place. A read-only mount, as Docker and Kubernetes make for settings and secrets, is trusted as it is: root made it,
    and owners and modes in it can be those of another machine.

    Raises OSError if it cannot be read, SettingsError, which begins with `called`, if others can write it.
    """
    with path.open("rb") as file:
        content, status = file.read(), os.fstat(file.fileno())
    real, mounts = path.resolve(), _read_only_mounts()
    for folder in {path.parent.resolve(), real.parent} - mounts:
        refuse_other_writers(folder, folder.stat(), called)
    if not mounts & {real, real.parent}:
        refuse_other_writers(real, status, called)
    return content


def refuse_other_writers(path: Path, status: os.stat_result, called: str) -> None:
    """Raise SettingsError, which begins with `called`, if users besides root and the present one can write `path`."""
    name, us = shlex.quote(str(path)), os.geteuid()
    if status.st_uid not in (0, us):
        raise SettingsError(
            f"{called}: refused, since {path} belongs to user {status.st_uid}, not to root or user {us}; run this as "
            f"that user or, if you trust it, `chown {us} {name}`"
        )
    if status.st_mode & WRITABLE_BY_OTHERS and not stat.S_ISCHR(status.st_mode):  # /dev/null is nobody's to fill
        shared = status.st_mode & stat.S_ISVTX
        remedy = "use a folder that only you can write" if shared else f"run `chmod go-w {name}`"
        raise SettingsError(
            f"{called}: refused, since other users can write {path}, mode {stat.S_IMODE(status.st_mode):04o}; {remedy}"
        )


def _read_only_mounts() -> set[Path]:
    """Return where a file system is mounted read-only (proc(5)); where there is no /proc it is none."""
    try:
        lines = os.fsdecode(_MOUNTS.read_bytes()).splitlines()
    except OSError:
        return set()
    options = {fields[4]: fields[5].split(",") for fields in map(str.split, lines)}  # of two at a place the last counts
    return {Path(_unescaped(place)) for place, words in options.items() if "ro" in words}


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)


def explain(error: OSError) -> str:
    """Return the system's words; where permission is missing, also who ran, whose the file is and what to change."""
    words = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return words
    ran_as = f"{words} for user {os.geteuid()} and group {os.getegid()}"
    return (
        f"{ran_as}{_owner(error.filename)}; run as a user or group that may (compose: COURIER_UID, COURIER_GID in .env)"
    )


def _owner(path: str | None) -> str:
    """Return whose it is, as far as that may be known."""
    if path is None:
        return ""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return ""
    return f"; it belongs to {status.st_uid}:{status.st_gid}, mode {status.st_mode & 0o7777:04o}"


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where a container knows no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
