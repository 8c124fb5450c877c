"""Check the paths that Courier needs, with the permissions of the user that runs the check.

A missing path is a warning: it may be created later, or exist on another host. A path that exists but cannot be used is
an error.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from common.errors import SettingsError, TransportError
from common.files import stat_or_none
from common.permissions import refuse_other_writers
from ops.admin.check.finding import Finding, Severity, error, warning
from workers.transports.manager_socket import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from common.settings.load import Settings


def check_paths(settings: Settings) -> Iterator[Finding]:
    """Yield the findings of all path checks."""
    for check in PATH_CHECKS:
        yield from check(settings)
    if os.geteuid() == 0:
        text = "permissions were not checked, because root bypasses them; run the check as the user of the services"
        yield Finding(Severity.NOTE, text)


def check_alert_log(settings: Settings) -> Iterator[Finding]:
    """Check `producer.alerts`."""
    path = settings.producer.alerts
    try:
        status = stat_or_none(path)
        if status is None:
            yield warning(
                "the alert log does not exist yet; is the manager on this host, with <jsonout_output>yes?", str(path)
            )
        elif not stat.S_ISREG(status.st_mode):
            yield error(
                "the alert log is not a regular file; set producer.alerts to the manager's alerts.json", str(path)
            )
        else:
            path.open("rb").close()
    except OSError as problem:
        yield error(
            f"{_current_user()} cannot read the alert log: {problem.strerror}; add the user to the group wazuh",
            str(path),
        )


def check_state_dir(settings: Settings) -> Iterator[Finding]:
    """Check `state.dir`."""
    path = settings.state.dir
    try:
        status = stat_or_none(path)
        if status is None:
            yield warning(
                "the state folder does not exist yet; the first start creates it if its user has permission",
                str(path),
            )
        elif not stat.S_ISDIR(status.st_mode):
            yield error("the state folder is not a directory; set state.dir to a directory", str(path))
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield error(
                f"{_current_user()} cannot write to the state folder; chown it to the user of the services",
                str(path),
            )
        elif (
            os.geteuid() and not settings.state.secret_key
        ):  # as root, the check says nothing about the user of the services
            refuse_other_writers(path, status, "the state folder")
    except SettingsError as refused:
        yield error(str(refused), str(path))
    except OSError as problem:
        yield error(f"{_current_user()} cannot access the state folder: {problem.strerror}", str(path))


def check_queue_socket(settings: Settings) -> Iterator[Finding]:
    """Check `worker.queue_socket`: connect to it without sending."""
    path = settings.worker.queue_socket
    try:
        connected(path).close()
    except TransportError as problem:
        yield (warning if _is_missing(path) else error)(problem.detail)


PATH_CHECKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    check_alert_log,
    check_state_dir,
    check_queue_socket,
)


def _is_missing(path: Path) -> bool:
    try:
        return stat_or_none(path) is None
    except OSError:
        return False


def _current_user() -> str:
    return f"user {os.geteuid()} and group {os.getegid()}"
