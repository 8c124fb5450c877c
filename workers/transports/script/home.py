"""Checks whether custom scripts can use the manager's home as under the stock Integrator, that is as user `wazuh`.

Most published scripts first write a line to `logs/integrations.log`, which belongs to `wazuh:wazuh` and has mode 0640
(spec 5.1). As another user they fail there with a `PermissionError`, before they do their work.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from common.permissions import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG: Final = "logs/integrations.log"
"""The log of the stock scripts and most published ones, relative to the home (spec 5.1)."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC


def home_warnings(home: Path) -> Iterator[str]:
    """Yield warnings about what will make scripts fail in this home as this process's user. Nothing is written.

    A missing file gives no warning: `home` may never have had such a log.
    """
    log = home / LOG
    try:
        os.close(os.open(log, _APPEND))
    except FileNotFoundError:
        if log.parent.is_dir() and not os.access(log.parent, os.W_OK | os.X_OK):
            yield f"user {user_name(os.geteuid())} cannot create {log}{_ADVICE}"
    except OSError as error:
        yield f"user {user_name(os.geteuid())} cannot append to {log}: {error.strerror}{_owned_by(log)}{_ADVICE}"


_ADVICE: Final = (
    ". Most custom scripts write this log and fail without it: run the worker for scripts as the manager's own user "
    "(wazuh), with this folder writable"
)


def _owned_by(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f" (owner {user_name(status.st_uid)}, mode {status.st_mode & 0o7777:04o})"
