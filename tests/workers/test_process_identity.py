from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from workers.process_identity import ProcessIdentity, of_child, this_process

if TYPE_CHECKING:
    from pathlib import Path


def test_running_process_has_not_exited() -> None:
    me = this_process()
    assert me.pid == str(os.getpid())
    assert not me.has_exited(f"{me}:token")


def test_exited_process_and_zombie_count_as_exited() -> None:
    code = "from workers.process_identity import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        token = other.stdout.readline().decode().strip() + ":token"
        assert not this_process().has_exited(token)
        other.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert this_process().has_exited(token)
    assert this_process().has_exited(token)


def test_reused_pid_is_another_process() -> None:
    me = this_process()
    assert me.has_exited(f"{me._replace(started='1')}:token")


def test_running_pid_requires_the_same_process_and_machine() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as started:
        token, me = str(of_child(started.pid)), this_process()
        assert me.running_pid(token) == started.pid
        assert me.running_pid(str(of_child(started.pid)._replace(started="1"))) is None
        assert me.running_pid(str(of_child(started.pid)._replace(boot="other"))) is None
        assert me.running_pid("nonsense") is None
    assert me.running_pid(token) is None
    assert me.running_pid(str(of_child(started.pid))) is None


def test_foreign_or_malformed_tokens_never_count_as_exited(tmp_path: Path) -> None:
    me = this_process()
    assert not me.has_exited(f"{me._replace(boot='other', pid='999999')}:token")
    assert not me.has_exited(f"{me._replace(namespace='1', pid='999999')}:token")
    assert not me.has_exited("w1")
    assert this_process(tmp_path) == ProcessIdentity("unknown", me.pid, me.pid, "")
