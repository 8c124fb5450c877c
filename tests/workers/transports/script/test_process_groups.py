from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from tests.support.processes import runs
from tests.support.recorder import eventually
from workers.transports.script.process import Command, ExitResult, run
from workers.transports.script.process_groups import GRACE_S, ProcessGroups

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NEVER = 3600.0


def left_behind(groups: ProcessGroups, for_s: float) -> int:
    """Run a script that leaves a process behind, and return the number of that."""
    until = time.monotonic() + for_s
    with groups.track(until) as group:
        done = subprocess.Popen(
            ["/bin/sh", "-c", "sleep 99 >/dev/null & echo $!"], stdout=subprocess.PIPE, start_new_session=True
        )
        group.number = done.pid
        member, _ = done.communicate()
    return int(member)


class Script:
    """A shell's command that runs in a thread, with what `run` returned; at `{}` it writes its process id down."""

    def __init__(self, groups: ProcessGroups, folder: Path, command: str) -> None:
        self._groups, self._folder = groups, folder
        self._command = Command(
            "/bin/sh", ["sh", "-c", command.format("echo $$ >pid;")], folder, {"PATH": "/usr/bin:/bin"}
        )
        self.ended: ExitResult | None = None
        folder.mkdir()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def pid(self) -> int:
        return int(eventually(self.read))

    def read(self) -> str:
        return (self._folder / "pid").read_text() if (self._folder / "pid").exists() else ""

    def _run(self) -> None:
        self.ended = run(self._command, deadline_s=NEVER, output_limit=100, clock=time.monotonic, groups=self._groups)


def test_a_refused_watcher_thread_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    groups = ProcessGroups(time.monotonic)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        member = left_behind(groups, 0.1)
    assert runs(member)
    groups.retry_start()
    eventually(lambda: not runs(member))
    eventually(lambda: groups._watcher is None)


def test_background_processes_are_awaited_until_their_deadline() -> None:
    groups = ProcessGroups(time.monotonic)
    patient = left_behind(groups, 0.2)
    groups.wait(NEVER)
    assert not runs(patient)
    endless = left_behind(groups, NEVER)
    groups.wait(0.1)
    assert runs(endless)
    groups.kill_all()
    eventually(lambda: not runs(endless))


def test_a_stopping_worker_kills_scripts_and_settles_none(tmp_path: Path) -> None:
    groups = ProcessGroups(time.monotonic)
    tidy = Script(groups, tmp_path / "tidy", "trap 'echo >tidied; exit 1' TERM; {} while :; do sleep 0.02; done")
    deaf = Script(groups, tmp_path / "deaf", "trap '' TERM; {} sleep 99")
    pids = [tidy.pid(), deaf.pid(), left_behind(groups, NEVER)]
    groups.kill_all()
    eventually(lambda: not any(map(runs, pids)))
    assert (tmp_path / "tidy" / "tidied").exists()
    late = Script(groups, tmp_path / "late", "{}")
    for script in (tidy, deaf, late):
        script.thread.join(0.1)
        assert script.thread.is_alive()
        assert script.ended is None
    assert late.read() == ""


def test_kill_all_without_scripts_is_fast_and_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, began = ProcessGroups(time.monotonic), time.monotonic()
    groups.kill_all()
    assert time.monotonic() - began < GRACE_S
    monkeypatch.setattr("workers.transports.script.process_groups.GRACE_S", 0.02)
    groups.kill_all()


def test_a_process_with_its_own_session_is_not_awaited() -> None:
    groups = ProcessGroups(time.monotonic)
    with groups.track(NEVER) as group:
        group.pipe, held = os.pipe()
    began = time.monotonic()
    groups.wait(NEVER)
    groups.kill_all()
    assert time.monotonic() - began < GRACE_S
    os.close(held)
