"""What this installation of Courier is: the version in pyproject.toml, and the commit that it was built from.

A wheel, a source archive and an image bring the commit in a file (setup.py). In a checkout, git knows it.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "courier-integrator"
COMMIT_FILE: Final = "commit.txt"
HERE: Final = Path(__file__).parent

GIT_LIMIT_S: Final = 5.0


def version() -> str:
    """Return the version, such as `0.9.0`."""
    return metadata.version(DISTRIBUTION)


@cache
def commit() -> str:
    """Return the abbreviated commit, empty if nothing knows it."""
    file = HERE / COMMIT_FILE
    return file.read_text("ascii").strip() if file.exists() else _commit_of_checkout(HERE.parent)


def full_version() -> str:
    """Return the version with the commit, such as `0.9.0 (abc1234)`, or without it if nothing knows the commit."""
    return f"{version()} ({commit()})" if commit() else version()


def _commit_of_checkout(folder: Path) -> str:
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return ""
    command = [git, "-C", str(folder), "rev-parse", "--short=7", "HEAD"]  # refused in a folder of another user
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
