"""Which connection carries a request: kept, shared, closed, and how one is made ready."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pycurl

from common.outcome import Reason
from common.secret import Secret
from tests.support.recorder import eventually
from tests.workers.transports.calls import OK, SECRET_PATH, error, post, tls_url
from tests.workers.transports.servers import Authority, Web, raw, request_of, web
from workers.transports.http.pool import IDLE_S, ConnectionPool
from workers.transports.http.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workers.transports.conftest import MakePolicy


def test_a_connection_is_kept(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http()
    for _ in range(5):
        transport.send(post(server.url))
    assert len({seen.port for seen in server.seen}) == 1


def test_threads_have_a_connection_each(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http(concurrency=4)
    bodies = [b"%d" % number for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda body: transport.send(post(server.url, body)), bodies))
    assert {response.status for response in responses} == {200}
    assert sorted(seen.body for seen in server.seen) == sorted(bodies)
    assert len({seen.port for seen in server.seen}) <= 4


def test_a_connection_closed_while_idle_causes_no_error(http: Callable[..., HttpTransport]) -> None:
    received: list[bytes] = []
    closed = threading.Semaphore(0)

    def once(connection: socket.socket) -> None:
        received.append(request_of(connection))
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    with raw(once) as address:
        transport = http()
        for number in range(5):
            assert transport.send(post(f"http://{address}/", b"%d" % number)).body == b"ok"
            assert closed.acquire(timeout=5)
    assert [request[-1:] for request in received] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_request_whose_kept_connection_ends_is_sent_once_more(http: Callable[..., HttpTransport]) -> None:
    received: list[bytes] = []

    def swallow(connection: socket.socket) -> None:
        while True:
            received.append(request_of(connection))
            if len(received) > 1:
                return
            connection.sendall(OK)

    with raw(swallow) as address:
        transport = http()
        transport.send(post(f"http://{address}/"))
        lost = error(transport, post(f"http://{address}{SECRET_PATH}"))
        assert (lost.reason, lost.detail) == (
            Reason.CONNECTION_FAILED,
            f"no connection to {address}: it closed the connection without a response",
        )
        assert len(received) == 3
        error(transport, post(f"http://{address}{SECRET_PATH}"))
        assert len(received) == 4


def test_head_and_body_arrive_together(http: Callable[..., HttpTransport]) -> None:
    pieces: list[bytes] = []

    def read_once(connection: socket.socket) -> None:
        for _ in range(2):
            pieces.append(connection.recv(65_536))
            connection.sendall(OK)

    with raw(read_once) as address:
        transport = http()
        for number in range(2):
            transport.send(post(f"http://{address}/", b"body %d" % number))
    assert [piece[:5] + piece[-6:] for piece in pieces] == [b"POST body 0", b"POST body 1"]


def test_idle_connections_are_probed_and_no_script_inherits_them(
    server: Web, http: Callable[..., HttpTransport]
) -> None:
    transport = http()
    transport.send(post(server.url))
    with transport._connections.acquire(server.url) as connection:
        descriptor = connection._curl.getinfo(pycurl.ACTIVESOCKET)
    assert not os.get_inheritable(descriptor)
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def idle(connections: ConnectionPool) -> int:
    return sum(map(len, connections._idle.values()))


def test_unused_connections_are_closed(server: Web, policy: MakePolicy) -> None:
    now = [0.0]
    connections = ConnectionPool(lambda: now[0])
    transport = HttpTransport(policy(), connections)
    with ExitStack() as together:
        for _ in range(4):
            together.enter_context(connections.acquire(server.url))
        together.enter_context(connections.acquire("http://elsewhere"))
    assert idle(connections) == 5
    for _ in range(3):
        now[0] += IDLE_S / 2
        transport.send(post(server.url))
    assert idle(connections) == 1


def test_a_connection_that_its_server_closed_is_closed(policy: MakePolicy) -> None:
    connections = ConnectionPool()
    transport = HttpTransport(policy(), connections)
    closed = threading.Semaphore(0)

    def once(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    with raw(once) as address:
        transport.send(post(f"http://{address}/"))
        assert closed.acquire(timeout=5)

        def is_gone() -> bool:
            connections.close_idle()
            return idle(connections) == 0

        eventually(is_gone)


def test_an_open_connection_is_kept_with_unread_bytes(authority: Authority, policy: MakePolicy) -> None:
    """TLS 1.3 sends tickets that nobody has read yet."""
    connections = ConnectionPool()
    with web(authority.context(authority.certificate("server"))) as server:
        transport = HttpTransport(policy(ca_bundle=authority.file), connections)
        for _ in range(2):
            transport.send(post(tls_url(server)))
            connections.close_idle()
        assert idle(connections) == 1
        assert len({seen.port for seen in server.seen}) == 1


def test_connections_are_shared_but_not_trust_stores(authority: Authority, policy: MakePolicy) -> None:
    connections = ConnectionPool()
    with web(authority.context(authority.certificate("server"))) as server:
        first, second, wary = (
            HttpTransport(policy(ca_bundle=file), connections) for file in (authority.file, authority.file, None)
        )
        for transport in (first, second, first, second):
            assert transport.send(post(tls_url(server), b"%d" % id(transport))).status == 200
        assert error(wary, post(tls_url(server))).reason is Reason.TLS
        assert first.send(post(tls_url(server))).status == 200
    assert len({seen.port for seen in server.seen}) == 1
    assert [seen.body for seen in server.seen[:2]] == [b"%d" % id(first), b"%d" % id(second)]
    assert idle(connections) == 1


def test_a_connection_is_not_shared_with_a_proxy_user(server: Web, policy: MakePolicy) -> None:
    connections = ConnectionPool()
    direct = HttpTransport(policy(), connections)
    by_proxy = HttpTransport(policy(proxy=Secret(server.url)), connections)
    for transport in (direct, by_proxy, direct):
        assert transport.send(post(f"{server.url}/a")).status == 200
    assert [seen.path for seen in server.seen] == ["/a", f"{server.url}/a", "/a"]


def test_a_closed_connection_leaves_no_garbage(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http()
    transport.send(post(server.url))
    _, connection = transport._connections._idle[server.url].pop()
    left = weakref.ref(connection)
    gc.disable()
    try:
        connection.close()
        del connection
        assert left() is None
    finally:
        gc.enable()


def test_failures_create_no_additional_connections(http: Callable[..., HttpTransport]) -> None:
    transport = http()
    for _ in range(3):
        error(transport, post("http://127.0.0.1:1/"))
    assert idle(transport._connections) == 1


def test_a_value_that_libcurl_refuses_fails_each_time(server: Web, policy: MakePolicy) -> None:
    connections = ConnectionPool()
    odd = HttpTransport(policy(proxy=Secret("http://s3cret\0@host")), connections)
    for _ in range(2):
        refused = error(odd, post(server.url))
        assert (refused.reason, refused.detail) == (
            Reason.INTERNAL,
            f"ValueError while calling 127.0.0.1:{server.port}",
        )
    assert HttpTransport(policy(), connections).send(post(server.url)).status == 200
    assert len(server.seen) == 1


def test_a_large_body_is_released(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport, body = http(), b"x" * 1_000_000
    before = sys.getrefcount(body)
    for _ in range(2):
        transport.send(post(server.url, body))
    assert sys.getrefcount(body) == before
    assert server.seen[1].body == body
