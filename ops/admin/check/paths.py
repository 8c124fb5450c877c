"""The places of the manager and of Courier that the parts need, as the user sees them who runs the check.

What is not there may come, or is on another host: a warning. What is there and may not be used is an error.
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
    """Yield what is wrong with the places, one after the other."""
    for look in PATH_CHECKS:
        yield from look(settings)
    if os.geteuid() == 0:
        text = "checked as root, whom permissions do not stop: run it as the user of the services to check theirs"
        yield Finding(Severity.NOTE, text)


def check_alert_log(settings: Settings) -> Iterator[Finding]:
    """Look at `producer.alerts`."""
    path = settings.producer.alerts
    try:
        status = stat_or_none(path)
        if status is None:
            yield warning("there is no alert log yet: is the manager here, with <jsonout_output>yes?", str(path))
        elif not stat.S_ISREG(status.st_mode):
            yield error(
                "the alert log is no regular file; name the manager's alerts.json in producer.alerts", str(path)
            )
        else:
            path.open("rb").close()
    except OSError as problem:
        yield error(
            f"the alert log cannot be read by {_current_user()}: {problem.strerror}; add it to the group wazuh",
            str(path),
        )


def check_state_dir(settings: Settings) -> Iterator[Finding]:
    """Look at `state.dir`, and at what an earlier start left in it."""
    path = settings.state.dir
    try:
        status = stat_or_none(path)
        if status is None:
            yield warning("there is no state folder yet: the first start makes it, where its user may", str(path))
        elif not stat.S_ISDIR(status.st_mode):
            yield error("the state folder is no folder; name one in state.dir", str(path))
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield error(
                f"the state folder cannot be written by {_current_user()}; chown it to the user of the services",
                str(path),
            )
        elif os.geteuid() and not settings.state.secret_key:  # root's look says nothing of the user of the services
            refuse_other_writers(path, status, "the state folder")
    except SettingsError as refused:
        yield error(str(refused), str(path))
    except OSError as problem:
        yield error(f"the state folder cannot be looked at by {_current_user()}: {problem.strerror}", str(path))


def check_queue_socket(settings: Settings) -> Iterator[Finding]:
    """Look at `worker.queue_socket`: connect to it, and send nothing."""
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
