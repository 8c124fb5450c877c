"""Checks whether a custom script can be run safely, with error texts that say what to do.

The kernel reports a missing interpreter and a Windows line end alike as "no such file", and the stock Integrator
reports every error as 127. So Courier checks the file before each run, and every folder and interpreter that determines
which program runs: a user who can change one of them could run anything with the worker's rights (decision 8).
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final

from common.errors import TransportError
from common.outcome import Reason
from common.permissions import WRITABLE_BY_OTHERS, user_name
from workers.transports.script.trusted_path import UntrustedPath, follow, is_trusted

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_LINE_BYTES: Final = 256
"""Linux reads this much of the first line (BINPRM_BUF_SIZE)."""

_MAX_INTERPRETERS: Final = 5
"""An interpreter may be a script itself; Linux follows at most this many (execve(2))."""

_SPLIT: Final = re.compile(r"(?:-v?S|--split-string=)\s*")
"""The option with which `env` splits its one argument into several words (env(1))."""


def check_script(path: Path, home: Path, search_path: str) -> None:
    """Raise TransportError (script_unusable), with what to do, unless `path` can be run and is safe to run.

    `home` is its working folder, `search_path` its PATH, which `#!/usr/bin/env` searches.
    """
    checked = set[str]()
    folder = _status(home, checked)
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        raise script_error(f"{home}, the working folder for scripts, does not exist; set worker.home")
    status = _status(path, checked)
    if status is None:
        raise script_error(f"{path} does not exist")
    _check_file(str(path), status)
    if not os.access(path, os.X_OK):
        raise script_error(f"{path} is not executable for this worker's user; run chmod 750 and set the right group")
    if os.geteuid() and os.access(path, os.W_OK):  # as the stock Integrator does (spec 4.4); root may write everything
        raise script_error(f"{path} {_WRITABLE}")
    _Interpreters(str(path), str(home), search_path, checked).check()


def script_error(detail: str) -> TransportError:
    """Return the error for a script that cannot be run."""
    return TransportError(Reason.SCRIPT_UNUSABLE, detail)


_WRITABLE: Final = "is writable for users other than root, who could run anything here; run chown root and chmod 750"


class _Interpreters:
    """The interpreter in the first line of a script, and the program that `env` starts for it."""

    def __init__(self, script: str, home: str, search_path: str, checked: set[str]) -> None:
        self._script, self._home, self._search_path, self._checked = script, home, search_path, checked

    def check(self) -> None:
        file = self._script
        for _ in range(_MAX_INTERPRETERS):
            first = _first_line(file)
            if not first.startswith(b"#!"):
                return
            if first.endswith(b"\r"):
                raise script_error(f"{file}: the first line has a Windows line end (CR LF); save the file with LF only")
            name, _, argument = os.fsdecode(first[2:].strip()).replace("\t", " ").partition(" ")
            if not name:
                return
            interpreter = os.path.join(self._home, name)  # noqa: PTH118 — called for every script: strings are faster
            self._check(name, interpreter)
            file = interpreter
            if name.endswith("/env") and (found := self._started_by_env(argument.strip())):
                self._check(*found)
                file = found[1]

    def _check(self, name: str, path: str) -> None:
        status = _status(path, self._checked)
        if status is None:
            raise script_error(f"{self._script}: the interpreter {name} in its first line does not exist")
        _check_file(f"{self._script}: the interpreter {path}", status)

    def _started_by_env(self, argument: str) -> tuple[str, str] | None:
        """Return name and path of the program, None if `env` itself will report that there is none."""
        several = _SPLIT.match(argument)
        words = argument[several.end() :].split() if several else [argument]
        name = next((word for word in words if "=" not in word), "-")
        if name.startswith("-"):  # other options of env are not parsed
            return None
        for folder in self._search_path.split(":") if "/" not in name else [""]:
            path = os.path.join(self._home, folder, name)  # noqa: PTH118 — as above
            if os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112 — as above
                return name, path
            self._check_searched(folder)
        return None

    def _check_searched(self, folder: str) -> None:
        """Refuse a world-writable folder that `env` searches before it finds the program in a later one."""
        try:
            mode = os.stat(os.path.join(self._home, folder)).st_mode  # noqa: PTH116, PTH118 — as above
        except OSError:
            return
        if mode & stat.S_IWOTH:
            raise script_error(
                f"{self._script}: any user can write {folder or self._home}, which is in PATH, and put an interpreter "
                "there; remove it from the worker's PATH"
            )


def _status(path: str | Path, checked: set[str]) -> os.stat_result | None:
    try:
        return follow(path, checked)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UntrustedPath as error:
        raise script_error(str(error)) from None
    except OSError as error:
        raise script_error(f"{path} cannot be checked: {error.strerror}") from None


def _check_file(called: str, status: os.stat_result) -> None:
    """Raise TransportError unless this is a regular file that only root or the worker's user can change."""
    if not stat.S_ISREG(status.st_mode):
        raise script_error(f"{called} is {'a directory' if stat.S_ISDIR(status.st_mode) else 'not a regular file'}")
    if status.st_mode & WRITABLE_BY_OTHERS:
        raise script_error(f"{called} {_WRITABLE}")
    if not is_trusted(status.st_uid):
        raise script_error(f"{called} belongs to {user_name(status.st_uid)}, who could change it; run chown root")
    if status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise script_error(f"{called} has the setuid or setgid bit and would run with other rights; run chmod ug-s")


def _first_line(path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""  # a program may be executable but not readable
    try:
        return os.read(file, _FIRST_LINE_BYTES).partition(b"\n")[0]
    finally:
        os.close(file)
