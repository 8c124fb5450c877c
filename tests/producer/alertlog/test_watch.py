"""Waiting for the log to change."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from producer.alertlog import watch
from producer.alertlog.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEVER_S = 30.0


class Deaf:
    """A kernel without inotify."""

    def __init__(self) -> None:
        raise OSError(24, "Too many open files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alerts" / "alerts.json"
    path.parent.mkdir()
    (tmp_path / "dated.json").write_bytes(b"first\n")
    path.hardlink_to(tmp_path / "dated.json")
    return path


@pytest.fixture
def watcher(path: Path) -> Iterator[Watcher]:
    """A watcher whose poll interval is longer than a test."""
    watcher = Watcher(path, poll_s=NEVER_S)
    yield watcher
    watcher.close()


def waited(watcher: Watcher, act: Callable[[], object]) -> float:
    """Return the seconds from `act`, which runs in another thread, until the wait ended."""
    done_s = 0.0

    def late() -> None:
        nonlocal done_s
        done_s = time.monotonic()
        act()

    timer = threading.Timer(0.1, late)
    timer.start()
    assert watcher.wait(NEVER_S)
    noticed_s = time.monotonic()
    timer.join()
    return noticed_s - done_s


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def test_wait_times_out_without_a_change(watcher: Watcher) -> None:
    assert not watcher.wait(0.05)
    assert not watcher.wait(0)


def test_write_by_the_other_name_is_noticed_at_once(watcher: Watcher, path: Path) -> None:
    assert waited(watcher, lambda: append(path.parent.parent / "dated.json")) < 1


def test_write_between_two_waits_is_noticed(watcher: Watcher, path: Path) -> None:
    append(path)
    assert watcher.wait(NEVER_S)
    watcher.wait(0)
    assert not watcher.wait(0.01)


def test_new_file_at_the_path_is_noticed_and_followed(watcher: Watcher, path: Path, tmp_path: Path) -> None:
    (tmp_path / "next.json").write_bytes(b"")
    path.unlink()
    assert waited(watcher, lambda: path.hardlink_to(tmp_path / "next.json")) < 1
    watcher.wait(0)
    assert waited(watcher, lambda: append(tmp_path / "next.json")) < 1


def test_wake_ends_a_wait(watcher: Watcher) -> None:
    assert waited(watcher, watcher.wake) < 1
    for _ in range(100_000):
        watcher.wake()
    assert watcher.wait(NEVER_S)


def test_missing_folder_is_polled(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "later" / "alerts.json", poll_s=0.01)

    def create() -> None:
        (tmp_path / "later").mkdir()
        append(tmp_path / "later" / "alerts.json")

    assert waited(watcher, create) < 5
    watcher.close()


def test_without_inotify_it_polls_and_logs_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "INotify", Deaf)
    watcher = Watcher(path, poll_s=0.01)
    assert waited(watcher, lambda: append(path)) < 5
    assert not watcher.wait(0.03)
    assert waited(watcher, watcher.wake) < 5
    watcher.close()
    (message,) = caplog.messages
    assert message.startswith(f"inotify is unavailable for {path} (Too many open files); polling every 0.01 s")
