"""Producer, worker and Flower reach Redis by every kind of address: password, socket file, TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from tests.support.tls import tls_in_front_of
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer


def check_delivery(manager: Manager, target: Recorder, **environment: str) -> None:
    """Check that the processes deliver one alert with the Redis of this environment."""
    with (
        Courier(manager.folder, "producer", *manager.files(), **environment) as producer,
        Courier(manager.folder, "worker", "--http", "--state", str(manager.state), **environment) as worker,
        Courier(manager.folder, "flower", "--flower-port", "0", **environment) as flower,
    ):
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)
        eventually(lambda: "Flower is at" in flower.log)
        said = producer.log + worker.log + flower.log
    assert "Traceback" not in said


def test_redis_password_from_a_file(client: object, server: EmbeddedServer, tmp_path: Path, target: Recorder) -> None:
    del client
    (tmp_path / "password").write_text(server.password + "\n")
    address = {
        "COURIER_REDIS_URL": f"redis://127.0.0.1:{server.port}/0",
        "COURIER_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
    }
    check_delivery(Manager(tmp_path, target), target, **address)


def test_redis_on_a_socket_file(client: object, server: EmbeddedServer, tmp_path: Path, target: Recorder) -> None:
    del client
    url = f"unix://:{server.password}@{server.socket}?db=0"
    check_delivery(Manager(tmp_path, target), target, COURIER_REDIS_URL=url)


def test_redis_over_tls_with_a_private_ca(
    client: object, server: EmbeddedServer, tmp_path: Path, target: Recorder
) -> None:
    del client
    authority = Authority(tmp_path)
    with tls_in_front_of(server.port, authority.context(authority.certificate("redis"))) as port:
        address = {
            "COURIER_REDIS_URL": f"rediss://:{server.password}@127.0.0.1:{port}/0",
            "COURIER_REDIS_CA": str(authority.file),
        }
        check_delivery(Manager(tmp_path, target), target, **address)


def test_an_untrusted_redis_certificate_is_logged(server: EmbeddedServer, tmp_path: Path, target: Recorder) -> None:
    manager = Manager(tmp_path, target)
    authority = Authority(tmp_path)
    with tls_in_front_of(server.port, authority.context(authority.certificate("redis"))) as port:
        url = f"rediss://:{server.password}@127.0.0.1:{port}/0"
        with Courier(tmp_path, "producer", *manager.files(), COURIER_REDIS_URL=url) as producer:
            eventually(lambda: "certificate verify failed" in producer.log)
            assert "name the file of its authority in redis.ca" in producer.log
            assert "Traceback" not in producer.log
