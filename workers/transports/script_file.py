"""Whether a custom script may be run at all, said in words that its owner can act on.

The kernel answers a missing interpreter and a Windows line end alike with "no such file", and the stock Integrator
answers everything with 127. So the file is looked at first.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from common.errors import TransportError
from common.files import status_of
from common.outcome import Reason

if TYPE_CHECKING:
    from pathlib import Path

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_FIRST_LINE_BYTES: Final = 256
"""As much of it as Linux reads (BINPRM_BUF_SIZE)."""


def check_script(path: Path, home: Path) -> None:
    """Raise TransportError (script_unusable), with what to do, unless `path` can be run and is safe to run."""
    folder = _status(home)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise unusable(f"{home}, the folder to run it in, does not exist; set worker.home")
    status = _status(path)
    if status is None:
        raise unusable(f"{path} does not exist")
    if not stat.S_ISREG(status.st_mode):
        raise unusable(f"{path} is {'a directory' if stat.S_ISDIR(status.st_mode) else 'no regular file'}")
    if not os.access(path, os.X_OK):
        raise unusable(f"{path} is not executable for this worker's user; chmod 750 and the right group mend that")
    if _is_writable(path, status):
        raise unusable(
            f"{path} may be written by others than root, who could thereby run anything here; chown root and chmod 750"
        )
    _check_first_line(path, home)


def unusable(detail: str) -> TransportError:
    """Return the error for a script that cannot be run."""
    return TransportError(Reason.SCRIPT_UNUSABLE, detail)


def _status(path: Path) -> os.stat_result | None:
    try:
        return status_of(path)
    except OSError as error:
        raise unusable(f"{path} cannot be looked at: {error.strerror}") from None


def _is_writable(path: Path, status: os.stat_result) -> bool:
    """Say whether group, others or the worker's own user may change the script (spec 4.4).

    Root may write everything, so that asking the kernel would refuse each script, as the stock Integrator does under
    root: there, only an owner other than root makes the difference.
    """
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return True
    if os.geteuid() == 0:
        return status.st_uid != 0 and bool(status.st_mode & stat.S_IWUSR)
    return os.access(path, os.W_OK)


def _check_first_line(path: Path, home: Path) -> None:
    try:
        with path.open("rb") as file:
            first = file.read(_FIRST_LINE_BYTES).partition(b"\n")[0]
    except OSError:
        return  # a program may be executable and not readable
    if not first.startswith(b"#!"):
        return
    if first.endswith(b"\r"):
        raise unusable(f"{path}: the first line ends like a Windows line (CR LF); save it with LF alone")
    interpreter = os.fsdecode(first[2:].split()[0]) if first[2:].strip() else ""
    if interpreter and _status(home / interpreter) is None:
        raise unusable(f"{path}: the interpreter {interpreter} that its first line names does not exist")
