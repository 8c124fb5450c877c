from __future__ import annotations

import gc
import gzip
import os
import socket
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import certifi
import pycurl
import pytest

from common.errors import TransportError
from common.outcome import Reason
from common.secret import Secret
from tests.workers.transports.servers import Authority, Web, raw, request_of, web
from workers.integrations.base import Answer, Request
from workers.transports.connections import MAX_BODY_BYTES, trusted
from workers.transports.http import HttpTransport
from workers.transports.pool import IDLE_S, Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.workers.transports.conftest import MakePolicy

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET_PATH: Final = "/services/s3cret?token=s3cret"


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as served:
        yield served


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def http(policy: MakePolicy) -> Callable[..., HttpTransport]:
    def make(**changes: Any) -> HttpTransport:
        return HttpTransport(policy(**changes), Connections())

    return make


def post(url: str, body: bytes = b"{}", **more: Any) -> Request:
    return Request(method="POST", url=url, headers={"Content-Type": "application/json"}, body=body, **more)


def error(transport: HttpTransport, call: Request) -> TransportError:
    with pytest.raises(TransportError) as raised:
        transport.send(call)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__
    return raised.value


# What goes out and comes back


def test_a_request_and_its_answer(server: Web, http: Callable[..., HttpTransport]) -> None:
    answer = http().send(post(f"{server.url}/a/b?c=d", b'{"e":1}'))
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b"ok", "test")
    method, path, headers, body, _ = server.seen[0]
    assert (method, path, body) == ("POST", "/a/b?c=d", b'{"e":1}')
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("python-requests/")
    assert (headers["accept-encoding"], headers["accept"]) == ("gzip, deflate", "*/*")
    assert headers["content-length"] == "7"


def test_the_next_body_is_its_own(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http()
    for body in (b"one", b"", b"three!"):
        transport.send(post(server.url, body))
    assert [(seen.body, seen.headers["content-length"]) for seen in server.seen] == [
        (b"one", "3"),
        (b"", "0"),
        (b"three!", "6"),
    ]


def test_parameters_and_headers_of_a_look_up(server: Web, http: Callable[..., HttpTransport]) -> None:
    headers = {"user-agent": "gzip,  Python", "Authorization": "Bearer k"}
    http().send(
        Request(method="GET", url=f"{server.url}/x", headers=headers, params={"apikey": "a b", "resource": "ü"})
    )
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("GET", "/x?apikey=a+b&resource=%C3%BC")
    assert (seen.headers["user-agent"], seen.headers["authorization"]) == ("gzip,  Python", "Bearer k")
    assert "content-length" not in seen.headers


@pytest.mark.parametrize("status", [200, 204, 301, 307, 400, 404, 429, 500, 503])
def test_every_status_is_an_answer_and_no_redirect_is_followed(
    server: Web, http: Callable[..., HttpTransport], status: int
) -> None:
    server.status, server.headers = status, {"Location": "/elsewhere", "Retry-After": "7"}
    server.body = b"" if status == 204 else b"body"
    answer = http().send(post(server.url))
    assert (answer.status, answer.headers["retry-after"], answer.body) == (status, "7", server.body)
    assert len(server.seen) == 1


def test_a_packed_answer_is_unpacked(server: Web, http: Callable[..., HttpTransport]) -> None:
    server.headers, server.body = {"Content-Encoding": "gzip"}, gzip.compress(b"unpacked")
    assert http().send(post(server.url)).body == b"unpacked"


@pytest.mark.parametrize("packed", [False, True])
def test_an_endless_answer_is_cut(server: Web, http: Callable[..., HttpTransport], *, packed: bool) -> None:
    body = b"x" * (8 * MAX_BODY_BYTES)
    server.body = gzip.compress(body) if packed else body
    server.headers = {"Content-Encoding": "gzip"} if packed else {}
    transport = http()
    assert len(transport.send(post(server.url)).body) == MAX_BODY_BYTES
    server.headers, server.body = {}, b"ok"
    assert transport.send(post(server.url)).body == b"ok"


def test_no_cookie_and_no_netrc_is_sent(
    server: Web, http: Callable[..., HttpTransport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n", encoding="ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.headers = {"Set-Cookie": "a=b"}
    transport = http()
    for _ in range(2):
        transport.send(post(server.url))
    assert not any({"cookie", "authorization"} & set(seen.headers) for seen in server.seen)


def test_user_and_password_of_the_url_are_sent_as_requests_does(
    server: Web, http: Callable[..., HttpTransport]
) -> None:
    http().send(post(f"http://me:pw@127.0.0.1:{server.port}/"))
    assert server.seen[0].headers["authorization"] == "Basic bWU6cHc="


# Connections


def test_a_connection_is_kept(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http()
    for _ in range(5):
        transport.send(post(server.url))
    assert len({seen.port for seen in server.seen}) == 1


def test_threads_have_a_connection_each(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http(concurrency=4)
    bodies = [b"%d" % number for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: transport.send(post(server.url, body)), bodies))
    assert {answer.status for answer in answers} == {200}
    assert sorted(seen.body for seen in server.seen) == sorted(bodies)
    assert len({seen.port for seen in server.seen}) <= 4


def test_a_connection_that_was_closed_while_idle_costs_nothing(http: Callable[..., HttpTransport]) -> None:
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
            Reason.CONNECT,
            f"no connection to {address}: it closed the connection without an answer",
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
    with transport._connections.to(server.url) as connection:
        descriptor = connection._curl.getinfo(pycurl.ACTIVESOCKET)
    assert not os.get_inheritable(descriptor)
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def idle(connections: Connections) -> int:
    return sum(map(len, connections._idle.values()))


def test_connections_that_are_no_longer_needed_are_closed(server: Web, policy: MakePolicy) -> None:
    now = [0.0]
    connections = Connections(lambda: now[0])
    transport = HttpTransport(policy(), connections)
    with ExitStack() as together:
        for _ in range(4):
            together.enter_context(connections.to(server.url))
        together.enter_context(connections.to("http://elsewhere"))
    assert idle(connections) == 5
    for _ in range(3):
        now[0] += IDLE_S / 2
        transport.send(post(server.url))
    assert idle(connections) == 1


def test_integrations_share_connections_to_one_host_but_not_what_they_trust(
    authority: Authority, policy: MakePolicy
) -> None:
    connections = Connections()
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


def test_a_connection_is_not_shared_with_who_takes_a_proxy(server: Web, policy: MakePolicy) -> None:
    connections = Connections()
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


def test_failures_make_no_further_connections(http: Callable[..., HttpTransport]) -> None:
    transport = http()
    for _ in range(3):
        error(transport, post("http://127.0.0.1:1/"))
    assert idle(transport._connections) == 1


def test_what_libcurl_does_not_take_is_refused_each_time_and_shows_nothing(server: Web, policy: MakePolicy) -> None:
    connections = Connections()
    odd = HttpTransport(policy(proxy=Secret("http://s3cret\0@host")), connections)
    for _ in range(2):
        refused = error(odd, post(server.url))
        assert (refused.reason, refused.detail) == (
            Reason.INTERNAL,
            f"ValueError on the way to 127.0.0.1:{server.port}",
        )
    assert HttpTransport(policy(), connections).send(post(server.url)).status == 200
    assert len(server.seen) == 1


def test_a_large_body_is_not_held(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport, body = http(), b"x" * 1_000_000
    before = sys.getrefcount(body)
    for _ in range(2):
        transport.send(post(server.url, body))
    assert sys.getrefcount(body) == before
    assert server.seen[1].body == body


# Time


def drip(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(start)
        pause = threading.Event()
        while not pause.wait(0.05):
            connection.sendall(piece)

    return behave


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 ", b"O"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_no_server_is_slow_enough_to_outlast_the_limit(
    http: Callable[..., HttpTransport], start: bytes, piece: bytes
) -> None:
    began = time.monotonic()
    with raw(drip(start, piece)) as address:
        slow = error(http(time_limit_s=0.4), post(f"http://{address}{SECRET_PATH}"))
    assert (slow.reason, slow.detail) == (Reason.TIMEOUT, f"{address} did not answer in time; the call had 0.4 s")
    assert 0.35 < time.monotonic() - began < 2


def test_a_server_that_does_not_read_ends_in_time_too(http: Callable[..., HttpTransport]) -> None:
    wait = threading.Event()
    with raw(lambda _: wait.wait(5) and None) as address:
        slow = error(http(time_limit_s=0.3), post(f"http://{address}/", b"x" * 16_000_000))
        wait.set()
    assert slow.reason is Reason.TIMEOUT


def test_a_handshake_that_never_comes_ends_in_time_too(http: Callable[..., HttpTransport]) -> None:
    wait = threading.Event()
    with raw(lambda _: wait.wait(5) and None) as address:
        slow = error(http(time_limit_s=5, connect_timeout_s=0.3), post(f"https://{address}/"))
        wait.set()
    assert slow.reason is Reason.TIMEOUT


def test_a_call_may_bring_its_own_limit(http: Callable[..., HttpTransport]) -> None:
    with raw(drip(b"", b"")) as address:
        slow = error(http(time_limit_s=60), post(f"http://{address}/", timeout_s=0.2))
    assert "0.2 s" in slow.detail


def test_a_limit_is_for_one_call(server: Web, http: Callable[..., HttpTransport]) -> None:
    transport = http(time_limit_s=10)
    transport.send(post(server.url))
    with raw(drip(b"", b"")) as address:
        assert error(transport, post(f"http://{address}/", timeout_s=0.2)).reason is Reason.TIMEOUT
    assert transport.send(post(server.url)).status == 200


# No answer


def test_nobody_listens(http: Callable[..., HttpTransport]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    refused = error(http(), post(f"http://user:s3cret@{address}{SECRET_PATH}"))
    assert (refused.reason, refused.detail) == (Reason.CONNECT, f"no connection to {address}: Connection refused")


def test_a_name_that_nobody_has(http: Callable[..., HttpTransport]) -> None:
    name = f"{'.'.join(['x' * 60] * 5)}.example"  # longer than RFC 1035 allows, so that no server is asked
    lost = error(http(), post(f"https://{name}{SECRET_PATH}"))
    assert (lost.reason, lost.detail) == (Reason.CONNECT, f"no connection to {name}: its name is not known")


def test_the_next_address_is_tried(server: Web, http: Callable[..., HttpTransport]) -> None:
    assert http().send(post(f"http://localhost:{server.port}/")).status == 200  # ::1 comes first


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (b"", Reason.CONNECT, "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", Reason.BAD_ANSWER, "ended too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", Reason.BAD_ANSWER, "ended too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Reason.BAD_ANSWER, "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", Reason.BAD_ANSWER, "be read"),
        (b"220 smtp.example s3cret ESMTP\r\n", Reason.BAD_ANSWER, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 6000 + b"\r\n", Reason.BAD_ANSWER, "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000, Reason.BAD_ANSWER, "is not HTTP"),
    ],
)
def test_answers_that_are_none(http: Callable[..., HttpTransport], answer: bytes, reason: Reason, words: str) -> None:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer)

    with raw(behave) as address:
        lost = error(http(), post(f"http://{address}{SECRET_PATH}"))
    assert lost.reason is reason
    assert words in lost.detail
    assert address in lost.detail


@pytest.mark.parametrize(
    "url",
    [
        *("", "s3cret", "s3cret/path", "http://", "https:///s3cret", "ftp://host/s3cret", "httpx://host/s3cret"),
        *("http://[s3cret", "http://host:s3cret/", "http://.s3cret/", "http://s3cret..x/", "http://*s3cret/"),
        *("http://user:pa/s3cret@host/", "\\s3cret", "http://" + "s3cret" * 50 + "/", "http://a b/s3cret"),
    ],
)
def test_a_url_that_cannot_be_called(http: Callable[..., HttpTransport], url: str) -> None:
    refused = error(http(time_limit_s=2), post(url))
    assert refused.reason in {Reason.BAD_URL, Reason.CONNECT}


@pytest.mark.parametrize("value", ["Bearer s3cret\n", "Bearer s3cret\r\nX: y", "s3cret\u20ac"])
def test_a_header_that_cannot_be_sent(server: Web, http: Callable[..., HttpTransport], value: str) -> None:
    call = Request(method="GET", url=server.url, headers={"Authorization": value})
    refused = error(http(), call)
    assert (refused.reason, "a header cannot be sent" in refused.detail) == (Reason.BAD_URL, True)
    assert server.seen == []


# TLS and proxies


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def tls_url(server: Web) -> str:
    return f"https://127.0.0.1:{server.port}{SECRET_PATH}"


def test_a_private_authority_is_trusted_if_it_is_named(
    authority: Authority, http: Callable[..., HttpTransport]
) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        transport = http(ca_bundle=authority.file)
        for _ in range(3):
            assert transport.send(post(tls_url(server))).body == b"ok"
        assert len({seen.port for seen in server.seen}) == 1
        untrusted = error(http(), post(tls_url(server)))
        assert untrusted.reason is Reason.TLS
        assert "unable to get local issuer certificate" in untrusted.detail
        assert http(verify_tls=False).send(post(tls_url(server))).status == 200


@pytest.fixture
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    trusted.cache_clear()
    yield tmp_path / "certs"
    trusted.cache_clear()


def test_what_the_system_trusts_is_trusted(
    authority: Authority, http: Callable[..., HttpTransport], system_folder: Path
) -> None:
    authority.folder(system_folder)
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200
        assert error(http(ca_bundle=certifi.where()), post(tls_url(server))).reason is Reason.TLS


def test_a_system_without_such_a_folder_has_the_bundled_file(system_folder: Path) -> None:
    assert trusted() == {pycurl.CAINFO: certifi.where()}
    system_folder.mkdir()
    (system_folder / "ca-certificates.crt").touch()
    trusted.cache_clear()
    assert trusted() == {pycurl.CAINFO: certifi.where()}
    (system_folder / "0123abcd.0").touch()
    trusted.cache_clear()
    assert trusted() == {pycurl.CAPATH: str(system_folder)}


def test_a_certificate_for_another_host_is_refused(authority: Authority, http: Callable[..., HttpTransport]) -> None:
    with web(authority.context(authority.certificate("other", "192.0.2.1"))) as server:
        refused = error(http(ca_bundle=authority.file), post(tls_url(server)))
    assert (refused.reason, "mismatch" in refused.detail) == (Reason.TLS, True)


def test_a_client_certificate_is_shown(authority: Authority, http: Callable[..., HttpTransport]) -> None:
    with web(authority.context(authority.certificate("server"), wants_client=True)) as server:
        pem = authority.certificate("client")
        assert http(ca_bundle=authority.file, client_cert=pem).send(post(tls_url(server))).status == 200
        apart = http(ca_bundle=authority.file, client_cert=pem, client_key=pem)
        assert apart.send(post(tls_url(server))).status == 200
        refused = error(http(ca_bundle=authority.file), post(tls_url(server)))
    assert refused.reason in {Reason.TLS, Reason.CONNECT}  # by who is faster: the alert or the reset


def test_plain_http_behind_https_is_told(server: Web, http: Callable[..., HttpTransport]) -> None:
    refused = error(http(), post(tls_url(server)))
    assert (refused.reason, "is not trusted, or does not speak TLS" in refused.detail) == (Reason.TLS, True)


def test_a_handshake_that_is_cut_is_tried_again(http: Callable[..., HttpTransport]) -> None:
    with raw(lambda connection: connection.recv(10) and None) as address:
        assert error(http(), post(f"https://{address}/")).reason is Reason.CONNECT


@pytest.mark.parametrize("setting", ["ca_bundle", "client_cert"])
@pytest.mark.parametrize("content", [None, "no pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_a_file_that_does_not_serve_is_named(
    authority: Authority, http: Callable[..., HttpTransport], tmp_path: Path, setting: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content:
        file.write_text(content)
    with web(authority.context(authority.certificate("server"))) as server:
        unfit = error(http(**({"ca_bundle": authority.file} | {setting: file})), post(tls_url(server)))
    assert unfit.reason is Reason.NOT_CONFIGURED
    assert unfit.detail.startswith(f"{setting} {file} cannot be used: ")
    assert unfit.detail.endswith("no PEM file" if content == "no pem" else "")


def test_a_proxy_is_used(server: Web, http: Callable[..., HttpTransport], monkeypatch: pytest.MonkeyPatch) -> None:
    by_setting = http(proxy=Secret(f"http://me:pw@127.0.0.1:{server.port}"))
    assert by_setting.send(post("http://target.example/a")).status == 200
    assert (server.seen[0].path, server.seen[0].headers["host"]) == ("http://target.example/a", "target.example")
    assert server.seen[0].headers["proxy-authorization"] == "Basic bWU6cHc="
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert http().send(post("http://target.example/b")).status == 200
    assert http().send(post(f"{server.url}/direct")).status == 200
    assert [seen.path for seen in server.seen[1:]] == ["http://target.example/b", "/direct"]


def test_a_tunnel_carries_tls(authority: Authority, http: Callable[..., HttpTransport]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:

        def tunnel(connection: socket.socket) -> None:
            request_of(connection)
            with socket.create_connection(("127.0.0.1", server.port)) as target:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(target, connection), daemon=True)
                back.start()
                pump(connection, target)

        with raw(tunnel) as proxy:
            transport = http(proxy=Secret(f"http://{proxy}"), ca_bundle=authority.file)
            assert transport.send(post(tls_url(server))).body == b"ok"


def test_a_proxy_with_tls_is_checked_in_the_same_way(authority: Authority, http: Callable[..., HttpTransport]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        proxy = Secret(f"https://127.0.0.1:{server.port}")
        assert http(proxy=proxy, ca_bundle=authority.file).send(post("http://target.example/a")).status == 200
        assert http(proxy=proxy, verify_tls=False).send(post("http://target.example/a")).status == 200
        assert error(http(proxy=proxy), post("http://target.example/a")).reason is Reason.TLS
    assert [seen.path for seen in server.seen] == ["http://target.example/a"] * 2


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
    except OSError:
        pass
    finally:
        sink.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b""])
def test_a_proxy_that_refuses_is_tried_again(http: Callable[..., HttpTransport], answer: bytes) -> None:
    def refuse(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(answer)

    with raw(refuse) as proxy:
        refused = error(http(proxy=Secret(f"http://s3cret:s3cret@{proxy}")), post(f"https://t.example{SECRET_PATH}"))
    assert (refused.reason, "t.example" in refused.detail) == (Reason.CONNECT, True)
    assert ("the proxy answers 407" in refused.detail) is bool(answer)


def test_a_transport_and_its_parts_show_no_secret(http: Callable[..., HttpTransport]) -> None:
    transport = http(proxy=Secret("http://s3cret@127.0.0.1:1"))
    assert "s3cret" not in repr(transport)
    assert "s3cret" not in repr(post("http://host/s3cret"))
    assert Answer(status=200).body == b""
