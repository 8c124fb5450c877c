"""What makes published scripts fail in a home that shows no fault otherwise: their log, and who they run as."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from workers.transports.script.home import LOG, home_warnings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOBODY = 65_534


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of a manager whose user is somebody else, as the packages install it."""
    file = tmp_path / LOG
    file.parent.mkdir()
    file.write_text("line\n")
    file.chmod(0o640)
    return file


def as_another_user(act: Callable[[], list[str]]) -> list[str]:
    """Return what `act` says in a process of an ordinary user, group of the files included."""
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([])
            os.setgid(os.getgid())
            os.setuid(NOBODY)
            os.write(writer, "\n".join(act()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as output:
        lines = output.read().splitlines()
    os.waitpid(pid, 0)
    return lines


def opened(home: Path) -> None:
    """Let others into the folders above a home of these tests, and into the home."""
    for folder in (home, *home.parents):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_a_log_that_the_user_cannot_append_to_is_a_warning(log: Path) -> None:
    opened(log.parent)
    (warning,) = as_another_user(lambda: list(home_warnings(log.parents[1])))
    assert warning.startswith(f"user nobody cannot append to {log}: Permission denied (owner root, mode 0640). ")
    assert "run the worker for scripts as the manager's own user (wazuh)" in warning
    assert log.read_text() == "line\n"


@needs_root
@pytest.mark.parametrize("mode", [0o750, 0o700], ids=["no log yet", "a folder that cannot be entered"])
def test_a_log_without_permission_is_not_a_missing_log(log: Path, mode: int) -> None:
    opened(log.parent)
    log.unlink()
    log.parent.chmod(mode)
    (warning,) = as_another_user(lambda: list(home_warnings(log.parents[1])))
    assert warning.startswith(f"user nobody cannot {'create' if mode & 0o010 else 'append to'} {log}")


def test_a_log_that_is_a_folder_is_a_warning(log: Path) -> None:
    log.unlink()
    log.mkdir()
    (warning,) = home_warnings(log.parents[1])
    assert f"append to {log}: Is a directory" in warning


def test_a_writable_log_gives_no_warning(log: Path) -> None:
    before = log.stat()
    assert list(home_warnings(log.parents[1])) == []
    assert log.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("there", ["", "logs"])
def test_a_home_without_a_log_gives_no_warning(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(exist_ok=True)
    assert list(home_warnings(tmp_path)) == []
