"""Why a file of the operator's cannot be read, with who asked: in a container that is whom COURIER_UID names."""

from __future__ import annotations

import os
from pathlib import Path


def reason(error: OSError) -> str:
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
