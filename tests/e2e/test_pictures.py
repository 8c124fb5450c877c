"""Creates the pictures of the README while the demo runs: its page in Chromium, and `courier status` at a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.text import Text

from tests.e2e.compose import browser
from tests.e2e.compose.stack import ARTIFACTS
from tests.e2e.test_demo import demo, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

COLUMNS = 120
INTEGRATIONS = ("custom-ticket", "maltiverse", "manager", "pagerduty", "shuffle", "slack-ec3fbc", "virustotal")


@pytest.fixture(scope="module")
def running_demo() -> Iterator[tuple[str, Path]]:
    """A running demo that has delivered its sample. Yields the address of its page, and its settings file."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as name, demo(Path(name), "--keep") as (process, output):
        wait_for(output, "running until Ctrl-C")
        found = re.search(r"page +(http://\S+)", output.read_text())
        assert found
        (settings,) = Path(name).glob("courier-demo-*/courier.toml")
        yield found[1], settings
        process.terminate()
        process.wait(30)


def run_in_terminal(*command: str) -> str:
    """Return the output of a command at a terminal with COLUMNS columns, including colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    raw = b""
    with suppress(OSError):  # the terminal closes when its process exits
        while more := os.read(ours, 65_536):
            raw += more
    os.close(ours)
    assert process.wait(30) == 0, raw
    return raw.decode()


def render_svg(output: str, title: str) -> str:
    """Return a terminal window as SVG that loads no fonts from the network."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(output.replace("\r\n", "\n")))
    drawn = console.export_svg(title=title, unique_id="courier")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def test_screenshot_of_the_demo_page(running_demo: tuple[str, Path]) -> None:
    address, _ = running_demo
    text = browser.rendered_html(address)
    assert "what arrived at the services" in text
    assert all(name in text for name in ("slack", "pagerduty", "shuffle", "maltiverse"))
    browser.picture(address, ARTIFACTS / "demo-page.png", size="1400,900")
    assert (ARTIFACTS / "demo-page.png").stat().st_size > 10_000


def test_picture_of_courier_status(running_demo: tuple[str, Path]) -> None:
    _, settings = running_demo
    shown = run_in_terminal(sys.executable, "-m", "ops.cli.main", "--settings", str(settings), "status")
    assert all(name in shown for name in INTEGRATIONS)
    picture = render_svg(shown, "courier status")
    assert not re.search(r"url\((?!#)|@import", picture), "it loads something"
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "status.svg").write_text(picture, encoding="utf-8")
