"""The current process: its start time, whether a closing terminal stops it, and protection of its memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_STARTTIME: Final = 22 - 3
"""Index of `starttime` among the fields after the command's name, in clock ticks since boot (proc(5), stat)."""

_PR_SET_DUMPABLE: Final = 4
"""The value of PR_SET_DUMPABLE for prctl(2)."""


def hide_memory() -> None:
    """Prevent other processes of this user from reading the environment, memory and open files of this one.

    Afterwards only root can read /proc/PID/environ, mem and fd, attach a debugger or take a core dump. The process
    itself can still read all of them except /proc/self/environ. Its child processes are not protected.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def started_at() -> datetime:
    """Return the start time of this process, or the current time if the system does not provide it."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return datetime.fromtimestamp(time.time() - max(0.0, age_s), UTC)


def ends_with_terminal() -> bool:
    """Return whether SIGHUP means that the terminal closed: the process has one (tty(4)) and is not under nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
