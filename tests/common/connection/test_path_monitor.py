from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from common.connection.client import SOCKET_TIMEOUT_S, connect
from common.connection.path_monitor import PONG_TIMEOUT_S, PathMonitor
from tests.support.proxy import Proxy
from tests.support.recorder import eventually
from tests.support.tls import tls_in_front_of
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis import Redis

    from ops.standalone.embedded_redis import EmbeddedServer

LOG = logging.getLogger("courier.test")


@pytest.fixture
def proxy(server: EmbeddedServer) -> Iterator[Proxy]:
    with Proxy(server.port) as between:
        yield between


@pytest.fixture
def url(server: EmbeddedServer, proxy: Proxy) -> str:
    return f"redis://:{server.password}@127.0.0.1:{proxy.port}/0"


@pytest.fixture
def monitor(url: str) -> Iterator[PathMonitor]:
    monitor = PathMonitor(url, LOG)
    assert monitor.check() == 0
    yield monitor
    monitor.close()


@pytest.fixture
def other(url: str) -> Iterator[Redis]:
    with connect(url) as client:
        client.ping()
        yield client


def test_callers_on_a_dropped_connection_fail_at_once(monitor: PathMonitor, other: Redis, proxy: Proxy) -> None:
    proxy.go_on(forgetting=True)
    ended_after_s: list[float] = []
    began_s = time.monotonic()

    def wait() -> None:
        with pytest.raises(Disconnected):
            other.ping()
        ended_after_s.append(time.monotonic() - began_s)

    waiting = threading.Thread(target=wait)
    waiting.start()
    cut = monitor.check()
    waiting.join(10)
    assert cut == 2  # its own and the other one
    assert ended_after_s[0] < SOCKET_TIMEOUT_S / 2  # which is how long they would wait otherwise
    assert other.ping()
    assert monitor.check() == 0


def test_dropped_idle_connection_is_replaced_without_an_error(monitor: PathMonitor, other: Redis, proxy: Proxy) -> None:
    proxy.go_on(forgetting=True)
    assert monitor.check() == 2
    assert other.ping()


def test_dropped_tls_connections_are_closed_too(client: object, server: EmbeddedServer, tmp_path: Path) -> None:
    del client
    authority = Authority(tmp_path)
    with tls_in_front_of(server.port, authority.context(authority.certificate("redis"))) as port, Proxy(port) as proxy:
        url = f"rediss://:{server.password}@127.0.0.1:{proxy.port}/0?ssl_ca_certs={quote(str(authority.file), safe='')}"
        monitor = PathMonitor(url, LOG)
        with connect(url) as other:
            assert other.ping()
            assert monitor.check() == 0
            proxy.go_on(forgetting=True)
            assert monitor.check() == 2
            assert other.ping()
        monitor.close()


def test_slow_redis_keeps_its_connections(monitor: PathMonitor, other: Redis, server: EmbeddedServer) -> None:
    before = other.client_id()
    with server.client() as client:
        client.client_pause(int(PONG_TIMEOUT_S * 1000) + 700, all=True)
        assert monitor.check() == 0
        client.client_pause(4000, all=True)
    with pytest.raises(RedisError):
        monitor.check()
    assert other.client_id() == before
    assert monitor.check() == 0


def test_stalled_connections_that_recover_are_kept(monitor: PathMonitor, other: Redis, proxy: Proxy) -> None:
    before = other.client_id()
    proxy.hold()
    with pytest.raises(RedisError):
        monitor.check()
    proxy.go_on()
    assert monitor.check() == 0
    assert other.client_id() == before


def test_monitor_reconnects_after_a_broken_connection(monitor: PathMonitor, proxy: Proxy) -> None:
    proxy.cut()
    assert monitor.check() == 0
    proxy.go_on(forgetting=True)
    assert monitor.check() == 1


def test_idle_connections_closed_by_redis_are_shut(
    monitor: PathMonitor, other: Redis, server: EmbeddedServer, client: Redis
) -> None:
    assert monitor.shutdown_closed() == 0
    theirs, ours = other.client_id(), client.client_id()
    with server.client() as admin:
        admin.client_kill_filter(_id=theirs)
    eventually(lambda: monitor.shutdown_closed() == 1)
    assert monitor.shutdown_closed() == 0
    assert other.ping()
    assert client.client_id() == ours


def test_socket_file_needs_no_monitor() -> None:
    def running() -> int:
        return sum(thread.name == "redis-path-monitor" for thread in threading.enumerate())

    before = running()
    PathMonitor("unix:///run/redis.sock", LOG).start()
    assert running() == before
    PathMonitor("redis://127.0.0.1:1", LOG).start()
    assert running() == before + 1
