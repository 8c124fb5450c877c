"""Runs `courier` as a user bound by file permissions: tests often run as root, which ignores them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHOUT_PRIVILEGE: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; and CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON: each opens /proc/PID/environ
for capability in (1, 2, 19, 21, 38):
    if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(f"cannot drop capability {capability}: {os.strerror(ctypes.get_errno())}")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Root without its power over permissions and other processes.

To become `nobody` instead would need a Python that nobody may read.
"""


@contextmanager
def folder_with_closed_ones() -> Iterator[Path]:
    """Yield a folder; restore the permissions of its content before it is removed."""
    with tempfile.TemporaryDirectory(prefix="courier-test-") as name:
        folder = Path(name)
        try:
            yield folder
        finally:
            for path in folder.rglob("*"):
                if not path.is_symlink():
                    path.chmod(0o700)


def python_as_ordinary_user(*arguments: str) -> list[str]:
    """Return the command that runs Python with `arguments`."""
    drop = ["-c", WITHOUT_PRIVILEGE] if os.geteuid() == 0 else []
    return [sys.executable, *drop, *arguments]


def run_as_ordinary_user(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` in `cwd`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
    return subprocess.run(
        python_as_ordinary_user(*arguments),
        cwd=cwd,
        env=ours | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def courier(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `courier` command the same way."""
    return run_as_ordinary_user("-m", "ops.cli.main", *arguments, cwd=cwd, **environment)


NOBODY: Final = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user, or become one")


def run_as_nobody(imports: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run `imports` as root, who alone may be able to read this Python, then `script` as the user nobody."""
    become = f"import os\nos.setgroups([])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n"
    return run_as_ordinary_user("-c", f"{imports}\n{become}{script}", cwd=Path("/"))
