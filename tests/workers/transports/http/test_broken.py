"""Answers that cannot be read whole: once the final status line has come, the target has said what it did."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import TransportError
from common.outcome import Delivered, Reason, Retry
from tests.workers.integrations.examples import alert, service
from tests.workers.transports.calls import SECRET_PATH, error, post
from tests.workers.transports.servers import Web, raw, request_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.support.blocking import Blocking
    from workers.calls import Response

OK: Final = b"HTTP/1.1 200 OK\r\n"
ALLOWED_S: Final = 0.4
KEPT: Final = "did not end in time"

BROKEN: Final[dict[str, tuple[bytes, bool, str]]] = {
    "encoding is a charset": (OK + b"Content-Encoding: UTF-8\r\nContent-Length: 2\r\n\r\nok", False, "cannot be read"),
    "gzip announced": (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", False, "cannot be read"),
    "zstd announced": (OK + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\nok", False, "cannot be read"),
    "br announced": (OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nok", False, ""),
    "gzip cut": (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"ok" * 99)[:-20], False, ""),
    "length too long": (OK + b"Content-Length: 99\r\n\r\nok", False, "ended too early"),
    "length too long, kept": (OK + b"Content-Length: 99\r\n\r\nok", True, KEPT),
    "length doubled": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", False, "not valid HTTP"),
    "length no number": (OK + b"Content-Length: two\r\n\r\nok", False, "not valid HTTP"),
    "length negative": (OK + b"Content-Length: -1\r\n\r\nok", False, "not valid HTTP"),
    "chunked and cut": (OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nok", False, "ended too early"),
    "chunked without end": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", True, KEPT),
    "chunked, no number": (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", False, "cannot be read"),
    "trailers cut": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T", False, "ended too early"),
    "no length, kept": (OK + b"\r\nok", True, KEPT),
    "headers cut": (OK + b"X-Half: ", False, ""),
    "headers kept": (OK + b"X-Half: ", True, KEPT),
    "no header after the status": (OK, True, KEPT),
    "too many headers": (OK + b"X: 1\r\n" * 6000 + b"\r\n", False, "not valid HTTP"),
    "header too long": (OK + b"X: " + b"x" * 400_000, False, "not valid HTTP"),
    "header without colon": (OK + b"nonsense\r\nContent-Length: 2\r\n\r\nok", False, ""),
    "after a 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 99\r\n\r\nok", False, "ended too early"),
}
"""What is sent, whether the connection is then kept, and a part of the error text; empty where libcurl may pass."""


def served(http: Callable[..., Blocking], sent: bytes, *, kept: bool = False) -> Response:
    """Return what comes of a call to a server that says this."""

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(sent)
        while kept and connection.recv(1024):
            pass

    with raw(behave) as address:
        transport = http(request_timeout_s=ALLOWED_S if kept else 10)
        response: Response = transport.send(post(f"http://{address}{SECRET_PATH}"))
    return response


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_does_not_change_the_status(http: Callable[..., Blocking], case: str) -> None:
    sent, kept, words = BROKEN[case]
    response = served(http, sent, kept=kept)
    assert response.status == 200
    assert words in response.broken


@pytest.mark.parametrize("status", [b"500 Oops", b"429 Slow", b"403 No"])
def test_a_failed_status_counts_despite_a_broken_body(http: Callable[..., Blocking], status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nRetry-After: 7\r\nContent-Encoding: utf-8\r\n\r\nx"
    response = served(http, head)
    assert (response.status, response.headers["retry-after"]) == (int(status[:3]), "7")


@pytest.mark.parametrize(
    "sent", [OK + b"Content-Length: 2\r\n\r\nok", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"]
)
def test_a_complete_response_is_not_broken(http: Callable[..., Blocking], sent: bytes) -> None:
    assert served(http, sent).broken == ""


def test_the_status_of_the_previous_call_is_not_used(server: Web, http: Callable[..., Blocking]) -> None:
    transport, calls = http(request_timeout_s=10), []

    def behave(connection: socket.socket) -> None:
        request_of(connection)
        calls.append(1)
        connection.sendall(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok" if len(calls) == 1 else b"")

    with raw(behave) as address:
        assert transport.send(post(f"http://{address}/")).status == 200
        assert error(transport, post(f"http://{address}/")).reason is Reason.CONNECTION_FAILED
    assert transport.send(post(server.url)).status == 200


def test_a_slow_body_ends_at_the_time_limit(http: Callable[..., Blocking]) -> None:
    def behave(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(OK + b"Content-Length: 99999\r\n\r\n")
        connection.settimeout(0.05)
        while True:  # as long as the client listens
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                connection.sendall(b"x")

    with raw(behave) as address:
        response = http(request_timeout_s=ALLOWED_S).send(post(f"http://{address}/"))
    assert (response.status, response.broken) == (200, "its body did not end in time")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(0, 200), encoding=st.sampled_from([b"", b"gzip", b"UTF-8", b"zstd", b"x"]))
def test_a_truncated_response_counts_from_its_status_line_on(
    http: Callable[..., Blocking], end: int, encoding: bytes
) -> None:
    whole = OK + b"Content-Encoding: " + encoding + b"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    sent = whole[:end]
    if len(sent) < len(OK):
        with pytest.raises(TransportError):
            served(http, sent)
    else:
        assert served(http, sent).status == 200


SETTINGS: Final = {"hook_url": "http://127.0.0.1:9/x", "api_key": "k" * 32}
HASHED: Final = alert(syscheck={"md5_after": "0" * 32})


@pytest.mark.parametrize("name", ["slack", "pagerduty", "shuffle"])
def test_a_service_that_checks_the_status_succeeds(http: Callable[..., Blocking], name: str) -> None:
    serving = service(name, **SETTINGS)
    (call,) = serving.build_calls(HASHED)
    for sent, kept, _ in BROKEN.values():
        assert serving.interpret(HASHED, call, served(http, sent, kept=kept)) == Delivered()


@pytest.mark.parametrize("name", ["virustotal", "maltiverse"])
def test_a_service_that_reads_the_body_retries(http: Callable[..., Blocking], name: str) -> None:
    serving = service(name, **SETTINGS)
    call = serving.build_calls(HASHED)[0]
    sent = b'{"response_code": 0}'
    for head in (b"Content-Length: 99", b"Content-Encoding: UTF-8"):
        outcome = serving.interpret(HASHED, call, served(http, OK + head + b"\r\n\r\n" + sent))
        assert isinstance(outcome, Retry)
        assert outcome.reason is Reason.INVALID_RESPONSE
        assert "HTTP 200, but " in outcome.detail
