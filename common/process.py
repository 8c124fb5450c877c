"""This process itself: when it was started, whether a terminal ends it, and who may look into it."""

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
"""Its place among the fields behind the command's name, in ticks since the machine was started (proc(5), stat)."""

_PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def hide_memory() -> None:
    """Keep other processes of this user from reading this one's environment, memory and open files.

    The kernel then lets only root look into /proc/PID/environ, mem and fd, attach a debugger or take a core dump. The
    process still sees all of its own but /proc/self/environ. What it starts is not hidden.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def started_at() -> datetime:
    """Return when this process was started; now, where the system does not say."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return datetime.fromtimestamp(time.time() - max(0.0, age_s), UTC)


def ends_with_terminal() -> bool:
    """Return whether SIGHUP comes from a terminal that closes: there is one (tty(4)), and no nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
