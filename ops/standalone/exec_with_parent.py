"""Runs a command that ends with the process that started it, even if that process is killed.

    python exec_with_parent.py PARENT_PID COMMAND [ARGUMENT ...]

It requests Linux's parent-death signal and then replaces itself with the command. If the parent dies before that, the
command is not started. It imports only the standard library, so that it starts within milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)


def command_line(command: list[str]) -> list[str]:
    """Return the command line that runs `command` until this process ends.

    Without the site packages, which take longer to find than all that this file imports.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *command]


def end_with_parent(parent: int) -> bool:
    """Let this process receive SIGTERM when `parent` (a process id) ends. Return False if it has already ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == parent  # a parent that died before prctl sends no signal


if __name__ == "__main__":
    if end_with_parent(int(sys.argv[1])):
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 — the command is ours
