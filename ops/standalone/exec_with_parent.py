"""Runs a command that must not outlive the process that started it, whatever ends that process.

    python -m ops.standalone.exec_with_parent PARENT_PID COMMAND [ARGUMENT ...]

Linux's parent-death signal is asked for, then the command takes this process's place. If the parent died in
between, nothing is started. Only the standard library is imported, so that it costs milliseconds.
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
    if os.getppid() == parent:
        os.execvp(command[0], command)  # noqa: S606 — the command is ours


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
