from __future__ import annotations

import inspect
import ssl

import pytest
import requests.exceptions as of_requests
import urllib3.exceptions as of_urllib3

from common.outcome import Reason
from workers.integrations.base import FINAL_WITHOUT_ANSWER
from workers.transports.http_errors import REASONS, reason_of, words_of


def classes_of(module: object, root: type[Exception]) -> list[type[Exception]]:
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root)]
    return [kind for kind in found if not issubclass(kind, Warning)]


@pytest.mark.parametrize("kind", classes_of(of_requests, of_requests.RequestException))
def test_every_exception_of_requests_is_in_the_table(kind: type[Exception]) -> None:
    assert kind in REASONS


@pytest.mark.parametrize("kind", classes_of(of_urllib3, of_urllib3.HTTPError))
def test_every_exception_of_urllib3_has_a_reason(kind: type[Exception]) -> None:
    assert reason_of(kind.__new__(kind)) is not Reason.INTERNAL


@pytest.mark.parametrize(
    "kind", [of_requests.ConnectionError, of_requests.Timeout, of_requests.ChunkedEncodingError, of_requests.ProxyError]
)
def test_what_may_pass_is_never_final(kind: type[Exception]) -> None:
    assert REASONS[kind] not in FINAL_WITHOUT_ANSWER


def test_a_time_out_is_found_below_what_wraps_it() -> None:
    wrapped = of_requests.ConnectionError(of_urllib3.ProtocolError("Connection aborted.", TimeoutError("s3cret")))
    assert (reason_of(wrapped), words_of(wrapped)) == (Reason.TIMEOUT, "")


def test_words_come_from_the_system_and_never_from_a_text() -> None:
    refused = of_requests.ConnectionError("url: /s3cret")
    refused.__context__ = ConnectionRefusedError(111, "Connection refused")
    assert (reason_of(refused), words_of(refused)) == (Reason.CONNECT, "Connection refused")
    assert words_of(ValueError("s3cret")) == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TLSV1_ALERT_INTERNAL_ERROR", Reason.CONNECT),
        ("UNEXPECTED_EOF_WHILE_READING", Reason.CONNECT),
        ("WRONG_VERSION_NUMBER", Reason.TLS),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Reason.TLS),
    ],
)
def test_what_ends_a_handshake_is_final_only_if_it_is_a_judgement(name: str, reason: Reason) -> None:
    below = ssl.SSLError(1, "s3cret")
    below.reason = name
    error = of_requests.SSLError(below)
    assert reason_of(error) is reason
    assert words_of(error) == name.lower().replace("_", " ")


def test_an_error_that_goes_in_circles_is_read_once() -> None:
    error = OSError()
    error.__context__ = ValueError(error)
    assert (reason_of(error), words_of(error)) == (Reason.CONNECT, "")
