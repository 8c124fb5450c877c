"""`courier up` with real processes, a real server and a real target."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.crashes import pause
from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, eventually

PARTS = {"producer", "http", "local", "flower", "console"}
READY = "new integration; reading starts"


def up(manager: Manager) -> Courier:
    return Courier(manager.folder, "up", *manager.files(), "--flower-port", "0")


def descendants(pid: int) -> set[int]:
    """Return the ids of all descendants of the process `pid`."""
    parents = {int(stat.parent.name): fields(stat)[1] for stat in Path("/proc").glob("[0-9]*/stat")}
    family, more = set[int](), {pid}
    while more := {child for child, parent in parents.items() if parent in more}:
        family |= more
    return family


def fields(stat: Path) -> list[int]:
    """Return the state (0 for a zombie, else 1) and the parent of a process (proc(5))."""
    try:
        state, parent = stat.read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return [0, 0]
    return [int(state != "Z"), int(parent)]


def is_alive(pid: int) -> bool:
    return bool(fields(Path(f"/proc/{pid}/stat"))[0])


def test_a_restart_of_courier_up_loses_and_repeats_nothing(manager: Manager, target: Recorder) -> None:
    with up(manager) as courier:
        eventually(lambda: READY in courier.log)
        manager.append(50)
        eventually(lambda: len(target.bodies) >= 50)
        family = descendants(courier.process.pid)
        assert len(family) >= 5
        assert courier.stop(signal.SIGINT) == 0
        assert not [pid for pid in family if is_alive(pid)]
    manager.append(50)
    with up(manager):
        eventually(lambda: len(target.bodies) >= 100)
        manager.append(1)
        eventually(lambda: len(target.bodies) >= 101)
    assert Counter(target.ids) == Counter(manager.ids)


def test_start_at_end_means_the_time_when_the_command_was_started(manager: Manager, target: Recorder) -> None:
    def write() -> None:
        line = json.loads(alert(manager.written)) | {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
        with manager.alerts.open("a") as log:
            log.write(json.dumps(line) + "\n")
        manager.written += 1

    write()
    before = manager.ids
    pause(0.1)  # the time in an alert is one of milliseconds, and that of a process's start one of hundredths
    with up(manager) as courier:
        while READY not in courier.log:
            write()
            pause(0.1)
        eventually(lambda: set(target.ids) >= manager.ids - before)
    assert Counter(target.ids) == Counter(manager.ids - before)


def test_courier_up_uses_its_own_redis_whatever_the_settings_say(manager: Manager, target: Recorder) -> None:
    file = manager.folder / "courier.toml"
    file.write_text('[redis]\nurl = "rediss://redis.example"\npassword = "hunter2"\nca = "ca.pem"\n')
    with Courier(manager.folder, "up", *manager.files(), "--flower-port", "0", COURIER_SETTINGS=str(file)) as courier:
        eventually(lambda: READY in courier.log or courier.process.poll() is not None)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)
        assert "cannot run" not in courier.log


def test_a_killed_courier_up_loses_no_alert(tmp_path: Path) -> None:
    with Recorder(latency_s=0.02) as target:
        manager = Manager(tmp_path, target)
        (tmp_path / "courier.toml").write_text('[integrations.default]\nlease = "2s"\n')
        settings = {"COURIER_SETTINGS": str(tmp_path / "courier.toml")}
        arguments = ("up", *manager.files(), "--flower-port", "0")
        with Courier(tmp_path, *arguments, **settings) as courier:
            eventually(lambda: READY in courier.log)
            manager.append(2000)
            eventually(lambda: len(target.bodies) >= 500)
            courier.stop(signal.SIGKILL)
        manager.append(10)
        with Courier(tmp_path, *arguments, **settings):
            eventually(lambda: set(target.ids) == manager.ids, limit_s=60)


def test_killed_part_is_restarted_under_its_name(manager: Manager, target: Recorder) -> None:
    def parts() -> dict[str, int]:
        found = {pid: Path(f"/proc/{pid}/comm") for pid in descendants(courier.process.pid)}
        return {file.read_text().strip(): pid for pid, file in found.items() if file.exists()}

    with up(manager) as courier:
        eventually(lambda: parts().keys() >= PARTS)
        before = parts()
        os.kill(before["http"], signal.SIGKILL)
        eventually(lambda: parts().get("http", before["http"]) != before["http"])
        manager.append(1)
        eventually(lambda: target.bodies)
        assert {name: pid for name, pid in parts().items() if name != "http"} == {
            name: pid for name, pid in before.items() if name != "http"
        }
        for name, pid in parts().items():
            files = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
            holds_lock = str(manager.state / "lock") in files
            assert holds_lock == (name not in PARTS), "a part that outlives `courier up` would keep it"


@pytest.mark.slow
def test_a_second_courier_up_in_one_state_folder_is_refused(manager: Manager) -> None:
    with up(manager) as courier:
        eventually(lambda: READY in courier.log)
        other = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", "up", *manager.files()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert other.returncode == 1
    assert "another `courier up` runs in" in other.stderr
    assert "Traceback" not in other.stderr
