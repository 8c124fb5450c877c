"""Which connection carries a request: kept, shared, closed, and how one is made ready."""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from common.outcome import Reason
from common.secret import Secret
from tests.support.recorder import eventually
from tests.workers.transports.calls import OK, SECRET_PATH, error, post, tls_url
from tests.workers.transports.servers import Authority, Web, raw, request_of, web
from workers.transports.http import multi, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.blocking import Blocking
    from workers.transports.http.connections import Connections
    from workers.transports.http.transfer import Transfer


def connections_to(port: int) -> list[int]:
    """Return the descriptors of our sockets that are connected to a local port, closed by the server or not."""
    found = []
    for name in (path.name for path in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            one = socket.socket(fileno=int(name))
            with suppress(OSError):
                if one.family == socket.AF_INET and one.getpeername()[1] == port:
                    found.append(int(name))
            one.detach()
    return found


def test_a_connection_is_kept(server: Web, http: Callable[..., Blocking]) -> None:
    transport = http()
    for _ in range(5):
        transport.send(post(server.url))
    assert len({seen.port for seen in server.seen}) == 1


def test_a_request_that_must_not_be_repeated_has_a_connection_of_its_own(
    server: Web, http: Callable[..., Blocking]
) -> None:
    """libcurl would send it again if a connection that it reuses ended without a response."""
    transport = http()
    plain = post(server.url)
    for call in (plain, msgspec.structs.replace(plain, is_once=True), plain):
        transport.send(call)
    first, second, third = (seen.port for seen in server.seen)
    assert second != first
    assert third in {first, second}


def test_concurrent_calls_have_a_connection_each(server: Web, http: Callable[..., Blocking]) -> None:
    transport = http()
    bodies = [b"%d" % number for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda body: transport.send(post(server.url, body)), bodies))
    assert {response.status for response in responses} == {200}
    assert sorted(seen.body for seen in server.seen) == sorted(bodies)
    assert len({seen.port for seen in server.seen}) <= 4


def test_hanging_calls_delay_no_other(server: Web, http: Callable[..., Blocking]) -> None:
    hanging, end = threading.Semaphore(0), threading.Event()

    def hang(connection: socket.socket) -> None:
        request_of(connection)
        hanging.release()
        end.wait(10)

    with raw(hang) as address, ThreadPoolExecutor(50) as pool:
        hung = [pool.submit(error, http(), post(f"http://{address}/")) for _ in range(50)]
        assert all(hanging.acquire(timeout=10) for _ in hung)
        assert http().send(post(server.url)).status == 200
        assert not any(future.done() for future in hung)
        end.set()


def test_a_connection_closed_while_idle_causes_no_error(http: Callable[..., Blocking]) -> None:
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


def test_a_request_whose_kept_connection_ends_is_sent_once_more(http: Callable[..., Blocking]) -> None:
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


def test_head_and_body_arrive_together(http: Callable[..., Blocking]) -> None:
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


def test_idle_connections_are_probed_and_no_script_inherits_them(server: Web, http: Callable[..., Blocking]) -> None:
    http().send(post(server.url))
    (descriptor,) = connections_to(server.port)
    assert not os.get_inheritable(descriptor)
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_all_connections_are_closed_after_a_pause(
    server: Web, http: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi, "CLOSE_AFTER_S", 0.05)
    transport = http()
    for number in range(1, 3):
        assert transport.send(post(server.url)).status == 200
        eventually(lambda: not connections_to(server.port))
        assert len({seen.port for seen in server.seen}) == number


def test_a_call_in_progress_is_no_pause(http: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi, "CLOSE_AFTER_S", 0.02)

    def respond_late(connection: socket.socket) -> None:
        request_of(connection)
        threading.Event().wait(0.3)
        connection.sendall(OK)

    with raw(respond_late) as address:
        assert http().send(post(f"http://{address}/")).body == b"ok"


@pytest.mark.slow
def test_a_connection_that_its_server_closed_is_closed_by_the_next_call(
    server: Web, http: Callable[..., Blocking]
) -> None:
    transport, closed = http(), threading.Semaphore(0)

    def once(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK)
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    with raw(once) as address:
        port = int(address.partition(":")[2])
        transport.send(post(f"http://{address}/"))
        assert closed.acquire(timeout=5)

        def is_gone() -> bool:
            transport.send(post(server.url))
            return not connections_to(port)

        eventually(is_gone)
    assert len({seen.port for seen in server.seen}) == 1


@pytest.mark.slow
def test_a_connection_that_is_not_used_is_closed_by_calls_to_others(
    server: Web, http: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_IDLE_S", 1)
    transport = http()
    with web() as other:
        transport.send(post(other.url))

        def is_gone() -> bool:
            transport.send(post(server.url))
            return not connections_to(other.port)

        eventually(is_gone)
    assert len({seen.port for seen in server.seen}) == 1


def test_an_open_connection_is_kept_with_unread_bytes(authority: Authority, http: Callable[..., Blocking]) -> None:
    """TLS 1.3 sends tickets that nobody has read yet."""
    with web(authority.context(authority.certificate("server"))) as server:
        transport = http(ca_bundle=authority.file)
        for _ in range(3):
            transport.send(post(tls_url(server)))
        assert len({seen.port for seen in server.seen}) == 1


def test_connections_are_shared_but_not_trust_stores(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        first, second, wary = (http(ca_bundle=file) for file in (authority.file, authority.file, None))
        for transport in (first, second, first, second):
            assert transport.send(post(tls_url(server), b"%d" % id(transport))).status == 200
        assert error(wary, post(tls_url(server))).reason is Reason.TLS
        assert first.send(post(tls_url(server))).status == 200
    assert len({seen.port for seen in server.seen}) == 1
    assert [seen.body for seen in server.seen[:2]] == [b"%d" % id(first), b"%d" % id(second)]


def test_a_connection_is_not_shared_with_a_proxy_user(server: Web, http: Callable[..., Blocking]) -> None:
    direct, by_proxy = http(), http(proxy=Secret(server.url))
    for transport in (direct, by_proxy, direct):
        assert transport.send(post(f"{server.url}/a")).status == 200
    assert [seen.path for seen in server.seen] == ["/a", f"{server.url}/a", "/a"]


def test_a_closed_transfer_leaves_no_garbage(server: Web, http: Callable[..., Blocking]) -> None:
    transport = http()
    transport.send(post(server.url))
    idle: list[Transfer] = transport.transport._idle  # type: ignore[attr-defined]  # of HttpTransport
    one = idle.pop()
    left = weakref.ref(one)
    gc.disable()
    try:
        one.close()
        del one
        assert left() is None
    finally:
        gc.enable()


def test_failures_leave_no_connection(http: Callable[..., Blocking], connections: Connections) -> None:
    transport = http()
    for _ in range(3):
        error(transport, post("http://127.0.0.1:1/"))
    (multi_handle,) = connections._by_route.values()
    assert multi_handle._watched == set()


def test_a_value_that_libcurl_refuses_fails_each_time(server: Web, http: Callable[..., Blocking]) -> None:
    odd = http(proxy=Secret("http://s3cret\0@host"))
    for _ in range(2):
        refused = error(odd, post(server.url))
        assert (refused.reason, refused.detail) == (
            Reason.INTERNAL,
            f"ValueError while calling 127.0.0.1:{server.port}",
        )
    assert http().send(post(server.url)).status == 200
    assert len(server.seen) == 1


def test_a_failure_of_the_multi_interface_ends_all_calls(
    http: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_events: int) -> int:
        raise OSError("s3cret")

    monkeypatch.setattr(multi, "_as_curl_events", fail)
    with raw(lambda connection: connection.recv(1)) as address:
        failed = error(http(request_timeout_s=10), post(f"http://{address}/"))
    assert (failed.reason, failed.detail) == (Reason.INTERNAL, f"RuntimeError while calling {address}")


def test_a_large_body_is_released(server: Web, http: Callable[..., Blocking]) -> None:
    transport, body = http(), b"x" * 1_000_000
    before = sys.getrefcount(body)
    for _ in range(2):
        transport.send(post(server.url, body))
    assert sys.getrefcount(body) == before
    assert server.seen[1].body == body
