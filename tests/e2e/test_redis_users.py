"""The ACL lines of ops/docs/remote-workers.md, as they stand there: enough for each process, and for nothing else."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import redis

from ops.embedded import free_port
from tests.e2e.test_metrics import Scrape
from tests.support.guide import guide_users
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ops.embedded import EmbeddedServer

PASSWORD = "a-password-of-its-own"


@pytest.fixture
def users(client: redis.Redis) -> Iterator[list[str]]:
    """The users of the guide, made on the real server."""
    names = []
    for line in guide_users(PASSWORD).splitlines():
        _, name, *rules = line.split()
        client.execute_command("ACL", "SETUSER", name, *rules)
        names.append(name)
    client.execute_command("ACL", "LOG", "RESET")
    yield names
    client.execute_command("ACL", "DELUSER", *names)


@contextmanager
def login(server: EmbeddedServer, name: str) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, username=name, password=PASSWORD) as connection:
        yield connection


def test_everything_works_with_the_users_of_the_guide(
    client: redis.Redis, server: EmbeddedServer, users: list[str], tmp_path: Path
) -> None:
    assert users == ["producer", "worker", "flower", "exporter"]
    (tmp_path / "password").write_text(PASSWORD)

    port = free_port()

    def process(user: str, *arguments: str, **more: str) -> Courier:
        return Courier(
            tmp_path,
            *arguments,
            **more,
            COURIER_REDIS_URL=f"redis://{user}@127.0.0.1:{server.port}/0",
            COURIER_REDIS_PASSWORD_FILE=str(tmp_path / "password"),
        )

    def health(user: str, *arguments: str) -> int:
        return process(user, "health", *arguments).process.wait(30)

    with Recorder(lambda body: 500 if b"1769846400.3" in body and not client.exists("mended") else 200) as target:
        manager = Manager(tmp_path, target)
        with (
            process("producer", "producer", *manager.files(), "--node", "n") as producer,
            process("worker", "worker", "--http", "--name", "w", "--state", str(manager.state)),
            process("flower", "flower", "--flower-port", "0") as flower,
            process("exporter", "exporter", COURIER_METRICS_PORT=str(port)),
        ):
            eventually(lambda: "begins to read" in producer.log)
            found = eventually(lambda: re.search(r"Flower is at http://[^\"]*:(\d+)/", flower.log))
            manager.append(200)
            eventually(lambda: len(set(target.ids)) >= 100)
            client.set("mended", 1)
            eventually(lambda: set(target.ids) == manager.ids, limit_s=60)
            delivered = {"integration": "slack", "outcome": "delivered", "reason": ""}
            scrape = Scrape(port)
            eventually(lambda: scrape.value("courier_deliveries_total", **delivered) == len(manager.ids))
            eventually(lambda: scrape.value("courier_lines_total", node="n") == len(manager.ids))
            assert process("exporter", "status").process.wait(30) == 0
            assert health("producer", "producer", "--node", "n") == 0
            assert health("worker", "worker", "--name", "w") == 0
            assert health("flower", "flower", "--flower-port", found[1]) == 0
    assert not client.execute_command("ACL", "LOG")


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("worker", "HSET courier:integrations slack forged"),
        ("worker", "DEL courier:integrations"),
        ("worker", "HSET courier:node:n seen_ms 1"),
        ("worker", "HGETALL courier:{slack}:cursor"),
        ("worker", "HSET courier:{slack}:cursor n 0"),
        ("worker", "DEL courier:{slack}:cursor"),
        ("worker", "GET somebody-elses"),
        ("worker", "KEYS *"),
        ("worker", "SCAN 0"),
        ("worker", "FLUSHALL"),
        ("worker", "CONFIG GET *"),
        ("worker", "EVAL return 0"),
        ("worker", "ACL LIST"),
        ("producer", "BRPOP unacked 1"),
        ("producer", "PUBLISH /0.celery.pidbox x"),
        ("producer", "KEYS *"),
        ("producer", "CONFIG GET *"),
        ("flower", "HGETALL courier:{slack}:records"),
        ("flower", "LPUSH courier.slack x"),
        ("flower", "HSET courier:{slack}:cursor n 0"),
        ("flower", "FLUSHALL"),
        ("exporter", "HSET courier:{slack}:totals delivered 9"),
        ("exporter", "ZREM courier:{slack}:waiting x"),
        ("exporter", "HGET courier:integrations slack"),
        ("exporter", "HGETALL courier:lookups:x"),
        ("exporter", "GET somebody-elses"),
        ("exporter", "KEYS *"),
        ("exporter", "CONFIG GET *"),
    ],
)
def test_nothing_else_works(server: EmbeddedServer, users: list[str], user: str, command: str) -> None:
    del users
    with login(server, user) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        connection.execute_command(*command.split())
