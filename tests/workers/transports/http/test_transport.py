from __future__ import annotations

import gzip
import socket
import threading
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from common.errors import TransportError
from common.outcome import Reason
from common.secret import Secret
from tests.workers.transports.calls import SECRET_PATH, error, post
from tests.workers.transports.servers import Web, raw, request_of
from workers.calls import MAX_BODY_BYTES, MAX_REPORT_BYTES, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.blocking import Blocking


# What goes out and comes back


def test_a_request_and_its_response(server: Web, http: Callable[..., Blocking]) -> None:
    response = http().send(post(f"{server.url}/a/b?c=d", b'{"e":1}'))
    assert (response.status, response.body, response.headers["x-kind"]) == (200, b"ok", "test")
    method, path, headers, body, _ = server.seen[0]
    assert (method, path, body) == ("POST", "/a/b?c=d", b'{"e":1}')
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("python-requests/")
    assert (headers["accept-encoding"], headers["accept"]) == ("gzip, deflate", "*/*")
    assert headers["content-length"] == "7"


def test_scheme_and_host_may_be_in_capitals(server: Web, http: Callable[..., Blocking]) -> None:
    assert http().send(post(f"HTTP://LOCALHOST:{server.port}/A?B=C")).status == 200
    assert server.seen[0].path == "/A?B=C"


def test_the_next_body_is_its_own(server: Web, http: Callable[..., Blocking]) -> None:
    transport = http()
    for body in (b"one", b"", b"three!"):
        transport.send(post(server.url, body))
    assert [(seen.body, seen.headers["content-length"]) for seen in server.seen] == [
        (b"one", "3"),
        (b"", "0"),
        (b"three!", "6"),
    ]


def test_parameters_and_headers_of_a_look_up(server: Web, http: Callable[..., Blocking]) -> None:
    headers = {"user-agent": "gzip,  Python", "Authorization": "Bearer k"}
    http().send(
        Request(method="GET", url=f"{server.url}/x", headers=headers, params={"apikey": "a b", "resource": "ü"})
    )
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("GET", "/x?apikey=a+b&resource=%C3%BC")
    assert (seen.headers["user-agent"], seen.headers["authorization"]) == ("gzip,  Python", "Bearer k")
    assert "content-length" not in seen.headers


def test_what_varies_is_of_one_request_alone(server: Web, http: Callable[..., Blocking]) -> None:
    transport, names = http(), frozenset({"x-id", "id"})

    def send(path: str, **varying: str) -> None:
        headers = {"x-fixed": "f"} | ({"x-id": varying["header"]} if "header" in varying else {})
        params = {"a": "1"} | ({"id": varying["param"]} if "param" in varying else {})
        transport.send(
            Request(method="POST", url=f"{server.url}{path}", headers=headers, params=params, varying=names, body=b"")
        )

    send("/x", header="1", param="n:1 ü&")
    send("/x", header="2")
    send("/x#part", param="2")
    send("/x")
    assert [(seen.path, seen.headers["x-fixed"], seen.headers.get("x-id")) for seen in server.seen] == [
        ("/x?a=1&id=n%3A1+%C3%BC%26", "f", "1"),
        ("/x?a=1", "f", "2"),
        ("/x?a=1&id=2", "f", None),
        ("/x?a=1", "f", None),
    ]
    with pytest.raises(TransportError, match="a header cannot be sent"):
        send("/x", header="a\r\nb: c")
    assert len(server.seen) == 4


@pytest.mark.parametrize("status", [200, 204, 301, 307, 400, 404, 429, 500, 503])
def test_every_status_is_a_response_without_redirects(server: Web, http: Callable[..., Blocking], status: int) -> None:
    server.status, server.headers = status, {"Location": "/elsewhere", "Retry-After": "7"}
    server.body = b"" if status == 204 else b"body"
    response = http().send(post(server.url))
    assert (response.status, response.headers["retry-after"], response.body) == (status, "7", server.body)
    assert len(server.seen) == 1


def test_a_compressed_response_is_decoded(server: Web, http: Callable[..., Blocking]) -> None:
    server.headers, server.body = {"Content-Encoding": "gzip"}, gzip.compress(b"unpacked")
    assert http().send(post(server.url)).body == b"unpacked"


@pytest.mark.parametrize("packed", [False, True])
def test_an_endless_response_is_truncated(server: Web, http: Callable[..., Blocking], *, packed: bool) -> None:
    body = b"x" * (8 * MAX_REPORT_BYTES)
    server.body = gzip.compress(body) if packed else body
    server.headers = {"Content-Encoding": "gzip"} if packed else {}
    transport = http()
    for limit in (MAX_BODY_BYTES, MAX_REPORT_BYTES):
        response = transport.send(post(server.url, max_body_bytes=limit))
        assert (len(response.body), response.is_cut, response.broken) == (limit, True, "")
    server.headers, server.body = {}, b"ok"
    assert transport.send(post(server.url)) == Response(status=200, headers=ANY, body=b"ok")


def test_no_cookie_and_no_netrc_is_sent(
    server: Web, http: Callable[..., Blocking], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n", encoding="ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.headers = {"Set-Cookie": "a=b"}
    transport = http()
    for _ in range(2):
        transport.send(post(server.url))
    assert not any({"cookie", "authorization"} & set(seen.headers) for seen in server.seen)


def test_user_and_password_of_the_url_are_sent_as_requests_does(server: Web, http: Callable[..., Blocking]) -> None:
    http().send(post(f"http://me:pw@127.0.0.1:{server.port}/"))
    assert server.seen[0].headers["authorization"] == "Basic bWU6cHc="


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
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_slow_server_cannot_exceed_the_limit(http: Callable[..., Blocking], start: bytes, piece: bytes) -> None:
    with raw(drip(start, piece)) as address:  # it never ends
        slow = error(http(request_timeout_s=0.4), post(f"http://{address}{SECRET_PATH}"))
    assert (slow.reason, slow.detail) == (Reason.TIMEOUT, f"{address} did not respond in time; the limit is 0.4 s")


def test_a_server_that_does_not_read_times_out(http: Callable[..., Blocking]) -> None:
    wait = threading.Event()
    with raw(lambda _: wait.wait(5)) as address:
        slow = error(http(request_timeout_s=0.3), post(f"http://{address}/", b"x" * 16_000_000))
        wait.set()
    assert slow.reason is Reason.TIMEOUT


def test_a_missing_handshake_times_out(http: Callable[..., Blocking]) -> None:
    wait = threading.Event()
    with raw(lambda _: wait.wait(5)) as address:
        slow = error(http(request_timeout_s=5, connect_timeout_s=0.3), post(f"https://{address}/"))
        wait.set()
    assert slow.reason is Reason.TIMEOUT


def test_a_call_may_have_its_own_limit(http: Callable[..., Blocking]) -> None:
    with raw(drip(b"", b"")) as address:
        slow = error(http(request_timeout_s=60), post(f"http://{address}/", timeout_s=0.2))
    assert "0.2 s" in slow.detail


def test_a_limit_is_for_one_call(server: Web, http: Callable[..., Blocking]) -> None:
    transport = http(request_timeout_s=10)
    transport.send(post(server.url))
    with raw(drip(b"", b"")) as address:
        assert error(transport, post(f"http://{address}/", timeout_s=0.2)).reason is Reason.TIMEOUT
    assert transport.send(post(server.url)).status == 200


# No answer


def test_a_refused_connection(http: Callable[..., Blocking]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    refused = error(http(), post(f"http://user:s3cret@{address}{SECRET_PATH}"))
    assert (refused.reason, refused.detail) == (
        Reason.CONNECTION_FAILED,
        f"no connection to {address}: Connection refused",
    )


def test_a_name_that_cannot_be_resolved(http: Callable[..., Blocking]) -> None:
    name = f"{'.'.join(['x' * 60] * 5)}.example"  # longer than RFC 1035 allows, so that no server is asked
    lost = error(http(), post(f"https://{name}{SECRET_PATH}"))
    assert (lost.reason, lost.detail) == (
        Reason.CONNECTION_FAILED,
        f"no connection to {name}: the host name cannot be resolved",
    )


def test_the_next_address_is_tried(server: Web, http: Callable[..., Blocking]) -> None:
    assert http().send(post(f"http://localhost:{server.port}/")).status == 200  # ::1 comes first


@pytest.mark.parametrize(
    ("response", "reason", "words"),
    [
        (b"", Reason.CONNECTION_FAILED, "without a response"),
        (b"220 smtp.example s3cret ESMTP\r\n", Reason.INVALID_RESPONSE, "is not valid HTTP"),
        (b"HTTP/1.1 20", Reason.CONNECTION_FAILED, "without a response"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Reason.CONNECTION_FAILED, "without a response"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", Reason.CONNECTION_FAILED, "without a response"),
    ],
)
def test_invalid_responses(http: Callable[..., Blocking], response: bytes, reason: Reason, words: str) -> None:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(response)

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
def test_an_invalid_url(http: Callable[..., Blocking], url: str) -> None:
    refused = error(http(request_timeout_s=2), post(url))
    assert refused.reason in {Reason.INVALID_URL, Reason.CONNECTION_FAILED}


@pytest.mark.parametrize("value", ["Bearer s3cret\n", "Bearer s3cret\r\nX: y", "s3cret\u20ac"])
def test_a_header_that_cannot_be_sent(server: Web, http: Callable[..., Blocking], value: str) -> None:
    call = Request(method="GET", url=server.url, headers={"Authorization": value})
    refused = error(http(), call)
    assert (refused.reason, "a header cannot be sent" in refused.detail) == (Reason.INVALID_URL, True)
    assert server.seen == []


def test_the_repr_of_a_transport_has_no_secret(http: Callable[..., Blocking]) -> None:
    transport = http(proxy=Secret("http://s3cret@127.0.0.1:1"))
    assert "s3cret" not in repr(transport.transport)
    assert "s3cret" not in repr(post("http://host/s3cret"))
    assert Response(status=200).body == b""
