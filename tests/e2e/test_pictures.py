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
from typing import TYPE_CHECKING, NamedTuple

import pytest
from rich.console import Console
from rich.text import Text

from ops.demo import dead_letters
from tests.e2e.compose import browser
from tests.e2e.compose.stack import ARTIFACTS
from tests.e2e.test_demo import demo, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

COLUMNS = 120
INTEGRATIONS = ("custom-ticket", "maltiverse", "manager", "pagerduty", "shuffle", "slack-ec3fbc", "virustotal")


class Running(NamedTuple):
    """A running demo that has delivered its sample: its page, its console and who may log in, its settings file."""

    page: str
    console: str
    login: str
    settings: Path


@pytest.fixture(scope="module")
def running_demo() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="e2e-") as name, demo(Path(name), "--keep") as (process, output):
        wait_for(output, "running until Ctrl-C")
        said = output.read_text()
        page, console = (re.search(rf"{name} +(http://\S+)", said) for name in ("page", "console"))
        login = re.search(r"login +user (\S+), password (\S+):", said)
        assert page
        assert console
        assert login
        (settings,) = Path(name).glob("courier-demo-*/courier.toml")
        yield Running(page[1], console[1], ":".join(login.groups()), settings)
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


def test_screenshot_of_the_demo_page(running_demo: Running) -> None:
    address = running_demo.page
    text = browser.rendered_html(address)
    assert "what arrived at the services" in text
    assert all(name in text for name in ("slack", "pagerduty", "shuffle", "maltiverse"))
    browser.picture(address, ARTIFACTS / "demo-page.png", size="1400,900")
    assert (ARTIFACTS / "demo-page.png").stat().st_size > 10_000


def test_page_and_console_side_by_side(running_demo: Running) -> None:
    """The console shows the dead letters of the demo; replayed there, they arrive on the page."""
    with browser.chromium() as running:
        page = running.new_page()
        page.goto(running_demo.page)
        page.locator(".slack .refused", has_text="refused for good").nth(dead_letters.NUMBER - 1).wait_for()
        accepted = page.locator(".slack .count")
        before = accepted.inner_text()
        assert page.get_by_role("link", name="Courier's console").get_attribute("href") == running_demo.console
        console = browser.logged_in(running, running_demo.login, 1400, 900)
        console.goto(running_demo.console)
        for name in INTEGRATIONS:
            console.locator(f"#tile-{name} .badge", has_text="sending").wait_for()
        console.locator(".badge", has_text="dead letters").wait_for()
        console.screenshot(path=ARTIFACTS / "console.png")
        console.get_by_role("link", name="Dead letters").click()
        console.get_by_role("checkbox", name="Select all on this page").check()
        console.get_by_role("button", name="Replay…").click()
        console.get_by_role("textbox", name="Reason").fill("Slack accepts them now")
        console.get_by_role("button", name=f"Replay {dead_letters.NUMBER} dead letters").click()
        wanted = int(before.split()[0]) + dead_letters.NUMBER
        page.locator(".slack .count", has_text=f"{wanted} messages").wait_for()


def test_picture_of_courier_status(running_demo: Running) -> None:
    shown = run_in_terminal(sys.executable, "-m", "ops.cli.main", "--settings", str(running_demo.settings), "status")
    assert all(name in shown for name in INTEGRATIONS)
    picture = render_svg(shown, "courier status")
    assert not re.search(r"url\((?!#)|@import", picture), "it loads something"
    ARTIFACTS.mkdir(exist_ok=True)
    (ARTIFACTS / "status.svg").write_text(picture, encoding="utf-8")
