"""The demo, as a user runs it: real processes, the committed sample, and nothing left at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.recorder import eventually, patience

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 90.0


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the demo with its temporary folders below `folder`."""
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.demo", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(folder)},
        )
    try:
        yield process, output
    finally:
        process.kill()
        process.wait()


def wait_for(output: Path, words: str) -> None:
    eventually(lambda: words in output.read_text(), limit_s=LIMIT_S)


def processes_of(folder: Path) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = line.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if str(folder) in command:
            found.append(command)
    return found


def check_nothing_is_left(folder: Path, within_s: float) -> None:
    eventually(lambda: not processes_of(folder), limit_s=within_s)
    assert not list(folder.glob("courier-demo-*"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, because it will contain sockets."""

    with tempfile.TemporaryDirectory(prefix="e2e-") as name:
        yield Path(name)


@pytest.mark.slow
def test_every_expected_message_arrives(folder: Path) -> None:
    with demo(folder) as (process, output):
        assert process.wait(LIMIT_S) == 0, output.read_text()[-2000:]
    text = output.read_text()
    found = re.search(r"^(\d+) of (\d+) expected messages arrived$", text, re.MULTILINE)
    assert found is not None
    assert found[1] == found[2]
    assert "more than once" not in text
    check_nothing_is_left(folder, 1.0)


def test_ctrl_c_stops_the_demo_within_five_seconds(folder: Path) -> None:
    with demo(folder) as (process, output):
        wait_for(output, "ok, 200")
        process.send_signal(signal.SIGINT)
        assert process.wait(5.0 * patience()) == 130
        check_nothing_is_left(folder, 1.0)


def test_the_demo_fails_if_own_files_match_no_alert(folder: Path) -> None:
    (folder / "alerts.json").write_text("\nno alert\n")
    (folder / "ossec.conf").write_text(
        "<ossec_config><integration><name>slack</name><hook_url>http://x/y</hook_url></integration></ossec_config>"
    )
    with demo(folder, "--alerts", str(folder / "alerts.json"), "--config", str(folder / "ossec.conf")) as (run, output):
        assert run.wait(LIMIT_S) == 1, output.read_text()
        assert "matched an integration" in output.read_text()
