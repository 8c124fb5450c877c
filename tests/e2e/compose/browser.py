"""Headless Chromium: a page as HTML or as a screenshot, and a browser for tests that act as a person does."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, ViewportSize

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


def _program() -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium here: install it (apt-get install chromium)"
    return program


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser that Playwright drives."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=_program(), args=["--no-sandbox"])
        yield running
        running.close()


def logged_in(browser: Browser, login: str, width: int, height: int) -> Page:
    """Return a new page of this size, which sends the login `USER:PASSWORD`."""
    user, _, password = login.partition(":")
    size: ViewportSize = {"width": width, "height": height}
    return browser.new_page(http_credentials={"username": user, "password": password}, viewport=size)


def _run(url: str, *flags: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = [_program(), *FLAGS, f"--user-data-dir={profile}", *flags, url]
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
