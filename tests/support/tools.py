"""Tools of the operating system that some tests need; a skipped test names the package to install."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def needs(tool: str, package: str) -> pytest.MarkDecorator:
    """Skip the test if the tool is not installed, and name its Debian package."""
    return pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed: apt-get install {package}")


def run(
    tool: str, *arguments: str | Path, text: bytes = b"", folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tool in `folder`, default the current one; `stdout` of the result includes stderr."""
    command = [str(shutil.which(tool)), *map(str, arguments)]
    done = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, check=False
    )
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode())
