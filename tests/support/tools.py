"""Tools of the operating system that some proofs need; where one is missing the test says how to get it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def needs(tool: str, package: str) -> pytest.MarkDecorator:
    """Skip the test where the tool is not installed, saying which Debian package brings it."""
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed: apt-get install {package}")


def run(
    tool: str, *arguments: str | Path, text: bytes = b"", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tool, in `folder` or here, and return what it said on both channels as `stdout`."""
    command = [str(shutil.which(tool)), *map(str, arguments)]
    done = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, check=False
    )
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode())
