from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common import version as module
from common.version import commit, full_version, version
from ops.module_runner import module_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of common/, which brings no commit yet."""
    place = tmp_path / "common"
    place.mkdir()
    monkeypatch.setattr(module, "HERE", place)
    commit.cache_clear()
    return place


@pytest.fixture(autouse=True)
def forget_the_commit() -> None:
    commit.cache_clear()


def test_the_version_is_that_of_pyproject() -> None:
    assert version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_without_git_and_file_the_version_stands_alone(folder: Path) -> None:
    assert not (folder / "commit.txt").exists()
    assert full_version() == version()


def test_a_build_brings_its_commit_in_a_file(folder: Path) -> None:
    (folder / "commit.txt").write_text("abc1234\n")
    assert full_version() == f"{version()} (abc1234)"


def test_in_a_checkout_git_knows_the_commit(folder: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        done = subprocess.run(
            [str(shutil.which("git")), *who, *arguments], cwd=folder.parent, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    assert full_version() == version(), "no commit yet"
    commit.cache_clear()
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    assert full_version() == f"{version()} ({git('rev-parse', 'HEAD')[:7]})"


def test_a_git_that_cannot_run_costs_only_the_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / ".git").mkdir()
    monkeypatch.setenv("PATH", str(folder))
    assert full_version() == version()
    (folder / "git").write_text("no program")
    (folder / "git").chmod(0o755)
    commit.cache_clear()
    assert full_version() == version()


@pytest.mark.parametrize("command", [[sys.executable, "-m", "courier"], module_command("ops.cli.main")])
def test_each_way_to_the_command_prints_it_in_any_folder(command: list[str], tmp_path: Path) -> None:
    for name in ("common", "ops"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the module that Courier means')\n")
    done = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"courier {full_version()}\n"
