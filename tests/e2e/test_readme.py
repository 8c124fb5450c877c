"""Runs the commands of the README as written, with a manager of the test and a clone of this working tree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.version import version
from tests.support.guide import PAGES, ROOT, Block, Shell, blocks
from tests.support.processes import UNLIMITED, Manager
from tests.support.recorder import Recorder, eventually

README = ROOT / "README.md"
RUN_BY = {
    "Install": "test_each_way_to_install_works_as_written",
    "Quick start": "test_quick_start_works_as_written",
    "courier up": "test_courier_up_section_works_as_written",
    "docker compose up on a manager": "test_readme_commands_are_on_the_compose_page",
}
"""The test of each block. For Compose it compares the commands with the Compose page, which another test runs."""

URL = "https://…/courier.git"
IN_AN_IMAGE = "docker compose build"
"""The line of Install that the page on Compose has too."""


def section(name: str) -> str:
    """Return the commands of the section's only block, without comments."""
    (block,) = (one for one in blocks(README) if one.section == name)
    return re.sub(r" +# .*", "", block.commands)


def clone_of_working_tree(folder: Path, **environment: str) -> Shell:
    """A clone of this working tree. The page's URL leads to its origin; the tools are those of this environment."""
    origin = folder / "published/courier.git"
    origin.parent.mkdir()
    origin.symlink_to(folder / "origin")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Shell(folder, instead={URL: f"file://{origin}"}, tools={}, path=path, **environment)


def test_a_test_runs_each_block() -> None:
    assert {one.section for one in blocks(README)} == set(RUN_BY)
    written = "".join((ROOT / "tests/e2e" / name).read_text() for name in ("test_readme.py", "test_guides.py"))
    assert [name for name in RUN_BY.values() if f"\ndef {name}(" not in written] == []
    assert IN_AN_IMAGE in {line for one in blocks(PAGES / "compose.md") for line in one.commands.splitlines()}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_way_to_install_works_as_written(tmp_path: Path) -> None:
    *lines, image = section("Install").splitlines()
    assert image == IN_AN_IMAGE
    places = {
        "pipx": {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "pipx-bin")},
        "uv": {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(tmp_path / "uv-bin")},
        "make": {},
    }
    commands = {"pipx": tmp_path / "pipx-bin/courier", "uv": tmp_path / "uv-bin/courier", "make": ".venv/bin/courier"}
    with_all = {name: value for one in places.values() for name, value in one.items()}
    clone = clone_of_working_tree(tmp_path, **with_all)
    commit = clone.do("git rev-parse --short=7 HEAD").strip()
    assert [line.split()[0] for line in lines] == list(commands)
    for line, command in zip(lines, commands.values(), strict=True):
        clone.do(line)
        assert clone.do(f"{command} --version") == f"courier {version()} ({commit})\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_quick_start_works_as_written(tmp_path: Path) -> None:
    shown = clone_of_working_tree(tmp_path).run(Block("Quick start", section("Quick start")))
    (line,) = re.findall(r"`(\d+ of \d+ expected messages\s+arrived)`", README.read_text())
    assert " ".join(line.split()) in shown


def test_courier_up_section_works_as_written(tmp_path: Path) -> None:
    block, same = (
        one for page in (README, PAGES / "running.md") for one in blocks(page) if one.section == "courier up"
    )
    assert block == same
    check, up, status = re.sub(r" +# .*", "", block.commands).splitlines()
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        tool = tmp_path / "tools/courier"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops.cli.main "$@"\n')
        tool.chmod(0o755)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")} | UNLIMITED
        environment = ours | {
            "PATH": f"{tool.parent}:{ours['PATH']}",
            "COURIER_PRODUCER_CONFIG": str(manager.config),
            "COURIER_PRODUCER_ALERTS": str(manager.alerts),
            "COURIER_FLOWER_PORT": "0",
        }

        def run(command: str) -> subprocess.CompletedProcess[str]:
            words = command.replace("/var/lib/courier", str(manager.state)).split()
            return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

        assert "slack" in run(check).stdout
        words = up.replace("/var/lib/courier", str(manager.state)).split()
        with (tmp_path / "up.log").open("wb") as log:
            process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(lambda: "slack" in run(status).stdout, limit_s=60)
            manager.append(3)
            eventually(lambda: set(target.ids) == manager.ids, limit_s=60)
        finally:
            process.terminate()
            assert process.wait(30) == 0
