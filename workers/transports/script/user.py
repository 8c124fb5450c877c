"""The user that runs scripts (setting `user`), and the capabilities to switch to that user."""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from common.errors import SettingsError
from common.permissions import user_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings.schema import Policy

CAPABILITIES: Final = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
"""To give a script its files, to stop it and to switch to its user; the bits are from linux/capability.h."""

CAPABILITIES_TO_LIMIT: Final = {"CAP_SYS_RESOURCE": 24}
"""To set limits of another user's process (prlimit(2))."""

_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_STATUS: Final = Path("/proc/self/status")


class ScriptUser(NamedTuple):
    """The user of a script: the ids, and the variables HOME, USER and LOGNAME."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    variables: Mapping[str, str] = MappingProxyType({})


def script_user(policy: Policy) -> ScriptUser | None:
    """Return the user for the scripts of this policy, None for the worker's own user.

    Raises SettingsError if the user does not exist, or this process may not switch to it.
    """
    user = _named(policy.user) if policy.user else None
    if user is None or user.uid == os.geteuid():
        if policy.process_limit is not None:
            raise SettingsError(
                "process_limit needs a `user` other than the worker's: the kernel counts all processes of a user, "
                "including the worker's own"
            )
        return None
    limits = policy.memory_limit_bytes, policy.file_limit_bytes, policy.process_limit
    needed = CAPABILITIES | (CAPABILITIES_TO_LIMIT if any(limit is not None for limit in limits) else {})
    effective = effective_capabilities()
    if missing := [name for name, bit in needed.items() if not effective >> bit & 1]:
        raise SettingsError(
            f"user: this process runs as {user_name(os.geteuid())} and may not start scripts as {policy.user}; "
            f"run it as root with {', '.join(missing)}, or give it these capabilities, or remove `user`"
        )
    return user


def clear_ambient_capabilities() -> None:
    """Prevent the programs that this process starts from inheriting its capabilities (capabilities(7)).

    Every child inherits a unit's AmbientCapabilities=; a script could become root with CAP_SETUID.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def effective_capabilities() -> int:
    """Return the effective capabilities of this process as a bit mask."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
    return int(lines["CapEff"], 16)


def _named(name: str) -> ScriptUser:
    uid, colon, gid = name.partition(":")
    if colon:
        return ScriptUser(int(uid), int(gid), (int(gid),))
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise SettingsError(f"user: there is no user {name!r} on this host; create it, or write UID:GID") from None
    groups = tuple(os.getgrouplist(found.pw_name, found.pw_gid))
    variables = {"HOME": found.pw_dir, "USER": found.pw_name, "LOGNAME": found.pw_name}
    return ScriptUser(found.pw_uid, found.pw_gid, groups, variables)
