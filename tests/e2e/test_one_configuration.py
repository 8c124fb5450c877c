"""A worker that has only the address, the password and the key; changes of courier.toml while everything runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from tests.security.test_leaks import dumped
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually, patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from ops.standalone.embedded_redis import EmbeddedServer

RELOAD_LIMIT_S = 2.0
TABLE = """
[integrations.soc]
service = "slack"
hook_url = "file:{secret}"
level = 7
"""


class World:
    """A producer with a courier.toml, and a worker elsewhere with an empty one."""

    def __init__(self, folder: Path, server: EmbeddedServer, manager: Manager) -> None:
        self.manager, self.toml, self.secret = manager, folder / "courier.toml", folder / "hook"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.empty = self.elsewhere / "empty.toml"
        self.empty.touch()
        self.toml.touch()
        manager.config.write_text("<ossec_config></ossec_config>")
        self.access = {"COURIER_REDIS_URL": server.url, "COURIER_SECRET_KEY": Fernet.generate_key().decode()}

    def producer(self) -> Courier:
        settings = {"COURIER_SETTINGS": str(self.toml)}
        return Courier(self.manager.folder, "producer", *self.manager.files(), **self.access, **settings)

    def worker(self) -> Courier:
        settings = {"COURIER_SETTINGS": str(self.empty), "COURIER_STATE_DIR": str(self.elsewhere / "state")}
        return Courier(self.elsewhere, "worker", "--http", **self.access, **settings)

    def deliver(self, target: Recorder) -> None:
        """Write one alert and wait until it arrives."""
        before = len(target.bodies)
        self.manager.append(1)
        eventually(lambda: len(target.bodies) == before + 1)


@pytest.fixture
def second() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


@pytest.fixture
def world(client: redis.Redis, server: EmbeddedServer, manager: Manager, tmp_path: Path) -> World:
    del client  # empties the server
    return World(tmp_path, server, manager)


def within_limit(process: Courier, text: str) -> None:
    began_s = time.monotonic()
    eventually(lambda: text in process.log)
    assert time.monotonic() - began_s < RELOAD_LIMIT_S * patience()


@pytest.mark.slow
def test_changes_are_followed_in_producer_and_worker_and_secrets_are_nowhere(
    client: redis.Redis, world: World, target: Recorder, second: Recorder
) -> None:
    world.secret.write_text(f"{target.url}/first-secret\n")
    with world.producer() as producer, world.worker() as worker:
        eventually(lambda: "no integration is configured" in producer.log)
        eventually(lambda: "worker started" in worker.log)

        world.toml.write_text(TABLE.format(secret=world.secret))
        within_limit(producer, "configuration reloaded")
        within_limit(worker, '"integration": "soc"')
        eventually(lambda: "reading starts" in producer.log)
        world.deliver(target)

        world.secret.write_text(f"{second.url}/second-secret\n")
        within_limit(worker, '"integration": "soc", "concurrency": 128')
        eventually(lambda: worker.log.count('"integration": "soc", "concurrency": 128') == 2)
        world.deliver(second)

        world.toml.write_text(f"{world.toml.read_text()}leese = 4\n")
        within_limit(producer, "changed configuration rejected; the previous one stays active: ")
        assert f"{world.toml}:6: there is no key integrations.soc.leese; did you mean" in producer.log
        world.deliver(second)
        status = _command(world, "status", "--json")
        assert "there is no key integrations.soc.leese" in status

        world.empty.write_text('[integrations.soc]\nconcurrency = 5\nlease = "9s"\n')
        within_limit(worker, '"concurrency": 5')
        world.empty.write_text("[integrations.soc]\nconcurrency = 0\n")
        within_limit(worker, "changed settings rejected; the previous ones stay active: ")
        assert f"{world.empty}:2: integrations.soc.concurrency: 0 is less than 1" in worker.log
        world.deliver(second)
        eventually(lambda: "integrations.soc.concurrency" in _command(world, "status", "--json"))
        eventually(lambda: "have no effect in a worker" in worker.log)
    for secret in ("first-secret", "second-secret"):
        for place in (producer.log, worker.log, status, dumped(client), _command(world, "config")):
            assert secret not in place
    assert "Traceback" not in producer.log + worker.log


def _command(world: World, name: str, *options: str) -> str:
    (world.elsewhere / f"{name}.log").unlink(missing_ok=True)
    command = Courier(world.elsewhere, name, *options, **world.access, COURIER_SETTINGS=str(world.empty))
    command.process.wait(30)
    return command.log
