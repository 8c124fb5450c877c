"""When this process was started."""

from __future__ import annotations

import os
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
