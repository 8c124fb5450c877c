"""When this process was started, and whether a terminal ends it."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_STARTTIME: Final = 22 - 3
"""Its place among the fields behind the command's name, in ticks since the machine was started (proc(5), stat)."""


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
