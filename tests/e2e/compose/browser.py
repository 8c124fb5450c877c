"""Headless Chromium: returns a page as HTML or as a screenshot."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",
)
SIZE = "1800,700"
LIMIT_S = 120


def _run(url: str, *flags: str) -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium here: install it (apt-get install chromium)"
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", *flags, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered_html(url: str) -> str:
    """Return the page as HTML, after its scripts have run."""
    return _run(url, f"--window-size={SIZE}", "--dump-dom")


def picture(url: str, file: Path, *, size: str = SIZE) -> None:
    """Write a PNG of the page in a window of `size`: `WIDTH,HEIGHT` in pixels."""
    file.parent.mkdir(exist_ok=True)
    _run(url, f"--window-size={size}", f"--screenshot={file}")
