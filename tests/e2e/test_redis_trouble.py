"""After any fault of Redis all alerts arrive, and none is repeated unnecessarily.

Real processes use a real server through a proxy. Only processes that exit are restarted, as by a supervisor.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from ops.standalone.embedded_redis import free_port
from ops.standalone.supervisor import EX_CONFIG
from tests.support.crashes import append_only_file, pause
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy
from tests.support.recorder import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 40.0
FRESH_S = 5.0
"""The longest time that a new alert may take after the fault."""
LEASE = "5s"


class System(Fleet):
    """A fleet of one worker with a proxy in front of its server."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        super().__init__(
            stack,
            folder,
            latency_ms=1,
            workers=1,
            way_to=self._through,
            producer_too=True,
            COURIER_INTEGRATIONS_DEFAULT_LEASE=LEASE,
        )

    def _through(self, port: int) -> int:
        self.proxy = self._stack.enter_context(Proxy(port))
        return self.proxy.port

    def command(self, *words: str | int) -> Any:
        """Run a command directly on the server, without the proxy."""
        with self.server.client() as client:
            return client.execute_command(*words)

    def wait_until_settled(self) -> None:
        """Wait until all written alerts have arrived and are settled."""
        self.wait_for(lambda: self.target.distinct() == self.manager.written and not self.records(), limit_s=LIMIT_S)

    def repeats(self) -> int:
        """Return the number of repeated alerts."""
        return self.target.numbers().total() - self.target.distinct()

    def wait_for_producer_log(self, words: str) -> None:
        """Wait until the producer's log contains `words`."""
        eventually(lambda: words in self.producer.log)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as stack:
        system = System(stack, tmp_path_factory.mktemp("trouble"))
        system.manager.append(1)
        system.wait_until_settled()
        yield system


@pytest.fixture
def system(running: System) -> Iterator[System]:
    """A healthy system. After the test it must be healthy again, with no process exited and no alert repeated."""
    before = running.repeats() - running.at_risk
    yield running
    running.manager.append(1)
    running.wait_until_settled()
    assert running.ended == []
    assert running.repeats() - running.at_risk <= before


def test_a_slow_redis_loses_no_alert(system: System) -> None:
    system.proxy.delay_s = 0.05
    system.manager.append(100)
    system.wait_until_settled()
    system.proxy.delay_s = 0.0


def test_deliveries_continue_after_redis_stalled(system: System) -> None:
    system.manager.append(100)
    system.proxy.hold()
    system.manager.append(100)
    pause(2)
    system.proxy.go_on()
    system.wait_until_settled()


def test_deliveries_continue_after_connections_were_cut_repeatedly(system: System) -> None:
    for _ in range(10):
        system.manager.append(20)
        system.proxy.cut()
        pause(0.1)
    system.wait_until_settled()


def test_a_new_alert_arrives_soon_after_a_firewall_dropped_all_connections(system: System) -> None:
    pause(2)  # the test before cut all connections, and the path monitor needs one again to notice (decision 1)
    system.at_risk += system.held()
    system.proxy.hold()
    system.proxy.go_on(forgetting=True)
    assert system.fresh_alert_s(limit_s=LIMIT_S) <= FRESH_S


@pytest.mark.slow
def test_a_new_alert_arrives_soon_after_ten_seconds_without_redis(system: System) -> None:
    system.at_risk += system.held()
    system.proxy.refuse()
    pause(10)
    system.proxy.go_on()
    assert system.fresh_alert_s(limit_s=LIMIT_S) <= FRESH_S


def test_deliveries_continue_after_redis_was_read_only(system: System) -> None:
    system.command("REPLICAOF", "127.0.0.1", free_port())
    system.manager.append(20)
    system.wait_for_producer_log("read only replica")
    system.command("REPLICAOF", "NO", "ONE")
    system.wait_until_settled()


def test_deliveries_continue_after_redis_was_out_of_memory(system: System) -> None:
    system.command("CONFIG", "SET", "maxmemory", 1024 * 1024)
    system.manager.append(20)
    system.wait_for_producer_log("'maxmemory'")
    system.command("CONFIG", "SET", "maxmemory", 0)
    system.wait_until_settled()


def test_deliveries_continue_after_the_disk_of_redis_was_full(system: System) -> None:
    pid = system.server.pid
    assert pid is not None
    before = len(system.producer.log)
    _, size = append_only_file(system.server)
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    system.manager.append(20)
    system.wait_for_producer_log("Redis cannot write to its disk (MISCONF: No space left on device)")
    asked = {"COURIER_REDIS_URL": system.server.url}
    for question in (["health", "producer", "--node", "n"], ["health", "worker", "--name", "w"], ["status"]):
        answer = CliRunner().invoke(courier, question, env=asked)
        assert "Redis cannot write to its disk" in f"{answer.output}{answer.exception}", question
        assert answer.exit_code == (0 if question == ["status"] else 1)
    pause(4)  # the producer tries again every second
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    system.wait_until_settled()
    log = system.producer.log[before:]
    assert log.count("cannot write to its disk") == 1
    assert "Command #" not in log


def test_deliveries_continue_after_a_redis_restart(system: System) -> None:
    system.manager.append(200)
    system.server.stop()
    system.manager.append(200)
    system.server.start()
    system.wait_until_settled()


def test_alerts_that_a_crashed_redis_lost_are_committed_again(system: System) -> None:
    system.manager.append(500)
    system.crash_server(forgets_s=0.5)
    system.manager.append(50)
    system.wait_until_settled()


def test_a_restored_redis_backup_repeats_only_the_later_alerts(system: System, tmp_path: Path) -> None:
    data = system.server.directory / "appendonlydir"
    system.manager.append(20)
    system.wait_until_settled()
    pause(1.2)  # an idle producer's cursor is written by then
    shutil.copytree(data, tmp_path / "backup")
    system.manager.append(30)
    system.wait_until_settled()
    system.server.stop()
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "backup", data)
    system.at_risk += 30
    before = system.target.numbers().total()
    system.server.start()
    system.wait_for(lambda: system.target.numbers().total() == before + 30, limit_s=LIMIT_S)


def test_deliveries_continue_after_redis_was_flushed(system: System) -> None:
    system.command("FLUSHALL")
    system.manager.append(20)
    system.wait_until_settled()


def test_a_full_disk_at_the_state_folder_is_reported_and_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    arguments = ("producer", "--config", str(tmp_path / "ossec.conf"), "--state", str(tmp_path / "state"))
    script = 'ulimit -f 0; exec "$0" -m ops.cli.main "$@"'
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
    ended = subprocess.run(
        ["/bin/sh", "-c", script, sys.executable, *arguments], capture_output=True, text=True, check=False, env=ours
    )
    assert ended.returncode == EX_CONFIG
    assert "secret.key: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "state").iterdir()) == []
