"""Whether a custom script can be run, by the very check that the worker makes before each run."""

from __future__ import annotations

import os
import stat
from difflib import get_close_matches
from typing import TYPE_CHECKING

from common.errors import SettingsError, TransportError
from common.files import stat_or_none
from common.integration import Kind
from ops.admin.check.finding import Finding, error, warning
from workers.transports.script.home import home_warnings
from workers.transports.script.transport import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from common.integration import Integration
    from common.settings.schema import Policy, WorkerSettings


def check_script(integration: Integration, policy: Policy, worker: WorkerSettings) -> Iterator[Finding]:
    """Yield why the script of a block cannot be run here; nothing for a block without one."""
    if integration.kind is not Kind.SCRIPT:
        return
    where, folder = f"{integration.file}:{integration.line}", worker.integrations_dir
    try:
        status = stat_or_none(folder)
    except OSError as problem:
        yield error(f"the script cannot be run: {folder} cannot be looked at: {problem.strerror}", where)
        return
    if status is None or not stat.S_ISDIR(status.st_mode):
        yield warning(
            f"the script is not checked: there is no {folder} here; check where the script worker runs", where
        )
        return
    try:
        check(integration.name, policy, worker)
    except SettingsError as problem:
        yield error(f"the script cannot be run: {problem}", where)
    except TransportError as problem:
        yield error(f"the script cannot be run: {problem.detail}{_nearest(folder, integration.name)}", where)


def check_home(integrations: Iterable[Integration], home: Path) -> Iterator[Finding]:
    """Yield what makes custom scripts fail in the manager's home; nothing where no block has one."""
    if any(integration.kind is Kind.SCRIPT for integration in integrations):
        yield from (warning(text, str(home)) for text in home_warnings(home))


def _nearest(folder: Path, name: str) -> str:
    """Return which other file may be meant where there is none of this name."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 — names are all that is needed
    except OSError:
        return ""
    if name in names:
        return ""
    close = [one for one in names if one.startswith(f"{name}.")] or get_close_matches(name, names, 1, 0.9)
    return f"; there is {close[0]}, and the name must be the same" if close else ""
