"""Runs a command that ends with the process that started it, even if that process is killed.

    python -m ops.standalone.exec_with_parent PARENT_PID COMMAND [ARGUMENT ...]

It requests Linux's parent-death signal and then replaces itself with the command. If the parent dies before that, the
command is not started. It imports only the standard library, so that it starts within milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(parent: int, command: list[str]) -> None:
    """Become `command`, which receives SIGTERM when `parent` (a process id) ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() == parent:  # a parent that died before prctl sends no signal
        os.execvp(command[0], command)  # noqa: S606 — the command is ours


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
