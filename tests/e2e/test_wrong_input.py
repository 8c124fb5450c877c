"""Invalid input causes one clear message and the right behaviour in every process, and never a traceback."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from common.registry.entries import KEY
from ops.standalone.embedded_redis import EmbeddedServer, free_port
from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, eventually
from tests.support.slow_server import slow_server
from workers.integrations.slack import LONGEST_TEXT

if TYPE_CHECKING:
    from pathlib import Path

    import redis

AWAY, CONFIG_ERROR = 75, 78


def part(manager: Manager, server: EmbeddedServer, name: str, *more: str, **environment: str) -> Courier:
    files = manager.files() if name == "producer" else ("--state", str(manager.state)) if name == "worker" else ()
    return Courier(manager.folder, name, *files, *more, COURIER_REDIS_URL=server.url, **environment)


def ended(courier: Courier) -> str:
    """Wait until the process exits with a configuration error. Return its only message."""
    assert courier.process.wait(30) == CONFIG_ERROR, courier.log
    errors = [line for line in courier.log.splitlines() if not line.startswith("{")]
    assert len(errors) == 1, courier.log
    assert "Traceback" not in courier.log
    return errors[0]


def test_a_missing_ossec_conf_stops_the_producer(server: EmbeddedServer, manager: Manager) -> None:
    manager.config.unlink()
    assert "there is no such file" in ended(part(manager, server, "producer"))


def test_an_unreadable_ossec_conf_stops_the_producer(server: EmbeddedServer, manager: Manager) -> None:
    manager.config.unlink()
    manager.config.mkdir()
    assert "cannot be read: Is a directory" in ended(part(manager, server, "producer"))


def test_courier_up_exits_if_one_of_its_processes_cannot_run(manager: Manager) -> None:
    manager.config.unlink()
    with Courier(manager.folder, "up", *manager.files(), "--flower-port", "0") as courier:
        assert courier.process.wait(30) == CONFIG_ERROR
    assert "there is no such file" in courier.log
    assert "producer has an invalid configuration; see its message above" in courier.log
    assert "Traceback" not in courier.log


@pytest.mark.parametrize("name", ["producer", "up"])
def test_the_first_log_line_is_json_if_the_alert_folder_cannot_be_listed(
    server: EmbeddedServer, manager: Manager, name: str
) -> None:
    place = manager.folder / "loop"
    place.symlink_to(place)  # unreadable for root, too
    files = ("--config", str(manager.config), "--alerts", str(place / "alerts.json"), "--state", str(manager.state))
    ports = ("--flower-port", "0") if name == "up" else ()
    environment = {"COURIER_REDIS_URL": server.url, "COURIER_LOG_FORMAT": "json"}
    with Courier(manager.folder, name, *files, *ports, **environment) as courier:
        eventually(lambda: "cannot be listed" in courier.log)
    first = courier.log.splitlines()[0]
    assert json.loads(first)["level"] == "error", first


def test_a_producer_without_integrations_waits_for_one(
    client: object, server: EmbeddedServer, manager: Manager, target: Recorder
) -> None:
    del client
    good = manager.config.read_text()
    manager.config.write_text("<ossec_config></ossec_config>")
    with part(manager, server, "producer") as producer, part(manager, server, "worker", "--http"):
        eventually(lambda: "no integration is configured" in producer.log)
        manager.config.write_text(good)
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)


def test_an_invalid_change_of_ossec_conf_is_rejected_and_logged(
    client: object, server: EmbeddedServer, manager: Manager, target: Recorder
) -> None:
    del client
    with part(manager, server, "producer") as producer, part(manager, server, "worker", "--http"):
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.config.write_text(manager.config.read_text().replace("json</", "json</alert_format><level>x</level><"))
        producer.process.send_signal(signal.SIGHUP)
        eventually(lambda: "changed configuration rejected; the previous one stays active" in producer.log)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)


def test_an_alert_log_that_appears_later_is_read_from_its_beginning(
    client: object, server: EmbeddedServer, manager: Manager, target: Recorder
) -> None:
    del client
    manager.alerts.unlink()
    with part(manager, server, "producer") as producer, part(manager, server, "worker", "--http"):
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(3)
        eventually(lambda: len(target.bodies) == 3)


def test_garbage_and_huge_lines_do_not_stop_deliveries(
    client: object, server: EmbeddedServer, manager: Manager, target: Recorder
) -> None:
    del client
    with part(manager, server, "producer") as producer, part(manager, server, "worker", "--http"):
        eventually(lambda: "new integration; reading starts" in producer.log)
        huge = json.loads(alert(1))
        huge["full_log"] = "x" * 5_000_000
        too_long = b'{"rule":{"level":9},"x":"' + b"y" * 17_000_000 + b'"}\n'
        with manager.alerts.open("ab") as log:
            log.write(bytes(range(256)) * 4 + b"\n\xff\xfe\n[1]\n\n" + too_long)
            log.write(json.dumps(huge).encode() + b"\r\n" + alert(2))
        eventually(lambda: len(target.bodies) == 2)
        assert {len(body) > LONGEST_TEXT for body in target.bodies} == {True, False}  # Slack takes no more of it
        eventually(lambda: "overlong" in producer.log)
        assert "Traceback" not in producer.log


def test_processes_wait_for_a_redis_that_starts_later(tmp_path: Path, manager: Manager, target: Recorder) -> None:
    server = EmbeddedServer(tmp_path / "redis", port=free_port())
    with part(manager, server, "producer") as producer, part(manager, server, "worker", "--http") as worker:
        eventually(lambda: "waiting for Redis; alerts stay in the alert log" in producer.log)
        eventually(lambda: "waiting for it" in worker.log)
        server.start()
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(2)
        eventually(lambda: len(target.bodies) == 2)
        assert "Traceback" not in producer.log + worker.log
    server.stop()


@pytest.mark.slow
def test_processes_wait_for_a_redis_that_is_loading(tmp_path: Path, manager: Manager, target: Recorder) -> None:
    server = slow_server(tmp_path / "redis", keys=100_000, delay_us=400)
    server.waits = False
    server.start()
    with (
        part(manager, server, "producer") as producer,
        part(manager, server, "worker", "--http") as worker,
        part(manager, server, "status") as status,
    ):
        assert status.process.wait(30) == AWAY
        assert "loading the dataset" in status.log
        eventually(lambda: "loading the dataset in memory; waiting for Redis" in producer.log)
        eventually(lambda: "loading the dataset in memory; waiting for it" in worker.log)
        server.quicken()
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(2)
        eventually(lambda: len(target.bodies) == 2)
        assert "Traceback" not in producer.log + worker.log + status.log
    server.stop()


@pytest.mark.parametrize("name", ["producer", "worker", "flower"])
def test_a_redis_that_evicts_keys_is_refused(
    name: str, client: object, server: EmbeddedServer, manager: Manager
) -> None:
    del client
    with server.client() as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "set it to noeviction" in ended(part(manager, server, name))
        finally:
            redis.config_set("maxmemory-policy", "noeviction")


class Cluster(EmbeddedServer):
    """A Valkey in cluster mode. With `serves` it has all slots; without, every command fails."""

    serves = True

    def _configuration(self) -> bytes:
        return super()._configuration() + b"cluster-enabled yes\n"

    def start(self) -> None:
        super().start()
        if self.serves:
            with self.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")


@pytest.mark.parametrize("serves", [True, False])
def test_a_redis_cluster_is_refused(tmp_path: Path, manager: Manager, *, serves: bool) -> None:
    server = Cluster(tmp_path / "redis")
    server.serves = serves
    server.start()
    try:
        names = ["producer", "worker", "flower"] if serves else ["producer", "status", "dead"]
        for name in names:
            more = ("list",) if name == "dead" else ()
            message = ended(part(manager, server, name, *more))
            assert "Redis Cluster is not supported" in message, name
            assert "cluster-enabled no" in message, name
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["producer", "worker", "flower"])
def test_a_wrong_password_is_refused_and_not_shown(name: str, server: EmbeddedServer, manager: Manager) -> None:
    message = ended(part(manager, server, name, COURIER_REDIS_PASSWORD="hunter2-wrong"))
    assert "password" in message
    assert "hunter2" not in message


@pytest.mark.slow
def test_a_worker_with_an_outdated_secret_key_exits(
    client: redis.Redis, server: EmbeddedServer, manager: Manager
) -> None:
    with part(manager, server, "producer") as producer:
        eventually(lambda: "new integration; reading starts" in producer.log)
    with part(manager, server, "worker", "--http") as worker:
        eventually(lambda: "ready." in worker.log)
        client.delete(KEY)
        with part(manager, server, "producer", COURIER_SECRET_KEY=Fernet.generate_key().decode()):
            assert "encrypted with another secret key" in ended(worker)
    assert "worker stopping; waiting up to" in worker.log


def test_a_port_in_use_is_named_in_the_error(server: EmbeddedServer, manager: Manager) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = ended(part(manager, server, "flower", "--flower-port", str(port)))
    assert f"127.0.0.1:{port} (--flower-port)" in message
    assert "Address already in use" in message


def test_an_unknown_setting_is_named_in_the_error(manager: Manager, server: EmbeddedServer) -> None:
    (manager.folder / "courier.toml").write_text("[worker]\nmax_taskz = 3\n")
    courier = part(manager, server, "worker", COURIER_SETTINGS=str(manager.folder / "courier.toml"))
    assert "did you mean worker.max_tasks?" in ended(courier)
