"""Check whether a custom script can run, with the same check as the worker before each run."""

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
    """Yield why the script of a block cannot run on this host; nothing for a block without a script."""
    if integration.kind is not Kind.SCRIPT:
        return
    where, folder = f"{integration.file}:{integration.line}", worker.integrations_dir
    try:
        status = stat_or_none(folder)
    except OSError as problem:
        yield error(f"the script cannot run: {folder} is not accessible: {problem.strerror}", where)
        return
    if status is None or not stat.S_ISDIR(status.st_mode):
        yield warning(
            f"the script was not checked: {folder} does not exist here; run the check where the script worker runs",
            where,
        )
        return
    try:
        check(integration.service, policy, worker)
    except SettingsError as problem:
        yield error(f"the script cannot run: {problem}", where)
    except TransportError as problem:
        yield error(f"the script cannot run: {problem.detail}{_nearest(folder, integration.service)}", where)


def check_home(integrations: Iterable[Integration], home: Path) -> Iterator[Finding]:
    """Yield conditions in the manager's home that make custom scripts fail; nothing if no block has a script."""
    if any(integration.kind is Kind.SCRIPT for integration in integrations):
        yield from (warning(text, str(home)) for text in home_warnings(home))


def _nearest(folder: Path, name: str) -> str:
    """Return a suggestion if the folder has no file of this name but a similar one."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 — only names are needed
    except OSError:
        return ""
    if name in names:
        return ""
    stem = name.split(".", maxsplit=1)[0].casefold()
    close = [one for one in names if one.split(".", maxsplit=1)[0].casefold() == stem] or get_close_matches(
        name, names, 1, 0.9
    )
    return f"; found {close[0]}, but the file name must equal the integration name" if close else ""
