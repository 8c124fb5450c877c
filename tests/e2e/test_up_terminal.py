"""`courier up` and terminals: a closed terminal, nohup, and unusual names of the state folder."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from common.reports.worker import fetch_all_worker_reports
from ops.standalone.state_dir import ADDRESS_FILE
from tests.e2e.test_up import READY, descendants, is_alive
from tests.support.processes import ANY_CONSOLE_PORT, Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from ops.standalone.embedded_redis import EmbeddedServer


def start_in_terminal(*arguments: str) -> tuple[int, int]:
    """Start `courier` in a new terminal. Return its process id and the other end of the terminal."""
    command = [sys.executable, "-m", "ops.cli.main", *arguments]
    pid, ours = pty.fork()
    if pid == 0:
        signal.signal(
            signal.SIGHUP, signal.SIG_DFL
        )  # under nohup the tests have it ignored, and so would their descendants
        os.execve(sys.executable, command, os.environ | ANY_CONSOLE_PORT)  # noqa: S606 — our own command
    return pid, ours


def test_closing_the_terminal_stops_courier_up_cleanly(manager: Manager, target: Recorder) -> None:
    del target
    pid, ours = start_in_terminal("up", *manager.files(), "--flower-port", "0")
    wait_for("courier.up: running", ours)
    family = descendants(pid)
    assert len(family) >= 5
    os.close(ours)  # the kernel sends SIGHUP
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not [one for one in family if is_alive(one)]
    log = next(manager.folder.rglob("valkey.log")).read_text()
    assert "User requested shutdown" in log
    assert "bye bye" in log


def wait_for(words: str, terminal: int) -> None:
    """Read from the terminal until `words` appear."""
    shown = b""
    while words.encode() not in shown:
        shown += os.read(terminal, 65_536)


@pytest.mark.parametrize(("part", "ready"), [("producer", READY), ("flower", "Flower is at")])
def test_closing_the_terminal_stops_a_process_cleanly(
    client: object, server: EmbeddedServer, manager: Manager, monkeypatch: pytest.MonkeyPatch, *, part: str, ready: str
) -> None:
    del client
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    pid, ours = start_in_terminal(part, *(manager.files() if part == "producer" else ("--flower-port", "0")))
    wait_for(ready, ours)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize("under_nohup", [False, True])
def test_closing_the_terminal_stops_a_worker_cleanly_unless_under_nohup(
    client: object, server: EmbeddedServer, manager: Manager, target: Recorder, *, under_nohup: bool
) -> None:
    del client, target
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if under_nohup else signal.SIG_DFL)
    try:
        worker = Courier(
            manager.folder, "worker", "--http", "--state", str(manager.state), COURIER_REDIS_URL=server.url
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    with worker:
        eventually(lambda: '"worker started"' in worker.log)
        eventually(lambda: fetch_all_worker_reports(server.client()))
        if under_nohup:
            worker.process.send_signal(signal.SIGHUP)
            assert worker.stop() == 0
            assert worker.log.count('"worker started"') == 1
        else:
            assert worker.stop(signal.SIGHUP) == 0
        assert "worker stopping; waiting up to" in worker.log


def test_nohup_keeps_courier_up_running_without_its_terminal(manager: Manager, target: Recorder) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup(1) does
    try:
        courier = Courier(manager.folder, "up", *manager.files(), "--flower-port", "0")
    finally:
        signal.signal(signal.SIGHUP, before)
    with courier:
        eventually(lambda: READY in courier.log)
        courier.process.send_signal(signal.SIGHUP)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)


@pytest.mark.parametrize("name", ['it\'s "here" a#b%20c?d', "zwei Wörter\nback\\slash ☃"])
def test_a_state_folder_may_have_any_name(
    name: str, tmp_path_factory: pytest.TempPathFactory, target: Recorder
) -> None:
    home = tmp_path_factory.mktemp("a")  # `tmp_path` has the name of the test: too long for the path of a socket
    manager = Manager(home, target)
    state = home / name
    files = [*manager.files(), "--state", str(state)]
    with Courier(manager.folder, "up", *files, "--flower-port", "0") as courier:
        eventually(lambda: READY in courier.log)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)
        command = [sys.executable, "-m", "ops.cli.main", "status", "--state", str(state)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "slack" in shown
    assert (state / "redis" / "appendonlydir").is_dir()
    assert (state / ADDRESS_FILE).is_file()
