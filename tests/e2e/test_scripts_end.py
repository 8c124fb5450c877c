"""No custom script outlives its worker, however the worker stops: real processes and a script that hangs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import Courier, alert, runs
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

SCRIPT = """#!/bin/sh
echo $$ >>begun
sleep 99 & echo $! >>children
wait
"""


class Home:
    """A manager's folder with a script that hangs, of which only one can run at a time, and an alert for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "integrations" / "custom-x"
        self.script.parent.mkdir()
        self.script.write_text(SCRIPT)
        self.script.chmod(0o550)
        (folder / "alerts.json").write_bytes(alert(1))
        block = "<integration><name>custom-x</name><alert_format>json</alert_format></integration>"
        (folder / "ossec.conf").write_text(f"<ossec_config>{block}</ossec_config>")
        (folder / "courier.toml").write_text(
            f'[worker]\nwazuh_home = "{folder}"\nintegrations_dir = "{folder}/integrations"\n'
            f'script_temp_dir = "{folder}/private"\ndrain_timeout = "1s"\n'
            '[integrations.custom-x]\nmax_in_flight = 1\nstart_at = "beginning"\n'
        )

    def courier(self, *arguments: str, **environment: str) -> Courier:
        files = ("--config", f"{self.folder}/ossec.conf", "--alerts", f"{self.folder}/alerts.json")
        more = () if arguments[0] == "worker" else files
        settings = {"COURIER_SETTINGS": f"{self.folder}/courier.toml"}
        return Courier(self.folder, *arguments, *more, "--state", f"{self.folder}/state", **settings, **environment)

    def begun(self, count: int) -> list[int]:
        """Wait until the script has started `count` times. Return the process ids of the runs and of their children."""
        eventually(lambda: all(len(self.pids(name)) >= count for name in ("begun", "children")))
        return [*self.pids("begun"), *self.pids("children")]

    def pids(self, name: str) -> list[int]:
        """Return the process ids that the script has written so far: its own (`begun`) or those of its `children`."""
        file = self.folder / name
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    for pid in filter(runs, [*made.pids("begun"), *made.pids("children")]):
        os.kill(pid, signal.SIGKILL)


def test_an_interrupted_courier_up_stops_its_scripts(home: Home) -> None:
    with home.courier("up", "--flower-port", "0") as up:
        pids = home.begun(1)
        assert up.stop(signal.SIGINT) == 0
        assert not any(map(runs, pids))
    assert "did not stop in time" not in up.log


def test_a_script_of_a_killed_worker_is_stopped_before_its_retry(
    client: object, server: EmbeddedServer, home: Home
) -> None:
    del client
    redis = {"COURIER_REDIS_URL": server.url}
    with home.courier("producer", **redis):
        with home.courier("worker", "--scripts", **redis) as worker:
            first = home.begun(1)
            worker.stop(signal.SIGKILL)
        assert all(map(runs, first))  # nobody is there to end them
        with home.courier("worker", "--scripts", **redis) as worker:
            pids = home.begun(2)
            eventually(lambda: set(filter(runs, pids)) == set(pids) - set(first))  # the kernel ends them soon
            worker.stop()
        assert not any(map(runs, pids))
