"""A process that looks like the stock Integrator in /proc: its name, and the alert log open at an offset."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAM: Final = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(15, b"wazuh-integratord", 0, 0, 0)  # PR_SET_NAME
log = os.open(sys.argv[1], os.O_RDONLY)
os.lseek(log, int(sys.argv[2]), os.SEEK_SET)
script = subprocess.Popen(["sleep", "600"]) if sys.argv[3] == "busy" else None
print("ready", flush=True)
sys.stdin.read()
if script:
    script.kill()
    script.wait()
"""


@contextmanager
def stock_daemon(log: Path, offset: int, *, home: Path, busy: bool = False) -> Iterator[int]:
    """Run it with `log` open at `offset` in the manager's `home`; `busy` means that it runs a script."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(log), str(offset), "busy" if busy else "idle"],
        cwd=home,
        env=os.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.communicate()
