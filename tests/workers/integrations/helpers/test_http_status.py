from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from common.integration import Integration
from common.outcome import Delivered, Outcome, Reason, Rejected, Retry
from common.secret import Secret
from tests.workers.integrations.examples import NOW_S, response
from workers.integrations.helpers.http_status import MAX_RETRY_BODY_BYTES, StatusClassifier, retry_after_s
from workers.redaction import Redactor

if TYPE_CHECKING:
    from workers.calls import Response

URL = Secret("https://hooks.example.com/services/T0/0123456789abcdefXYZ?k=v")


def outcome(given: Response) -> Outcome:
    return StatusClassifier(lambda: NOW_S, Redactor.of(Integration(id="x", name="slack", hook_url=URL))).classify(given)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (100, Reason.INVALID_RESPONSE),
        (401, Reason.UNAUTHORIZED),
        (403, Reason.UNAUTHORIZED),
        (404, Reason.GONE),
        (405, Reason.GONE),
        (407, Reason.CONNECTION_FAILED),
        (408, Reason.TIMEOUT),
        (410, Reason.GONE),
        (425, Reason.HTTP_5XX),
        (429, Reason.RATE_LIMITED),
        (500, Reason.HTTP_5XX),
        (503, Reason.HTTP_5XX),
        (599, Reason.HTTP_5XX),
        (999, Reason.INVALID_RESPONSE),
    ],
)
def test_temporary_statuses_are_retried(status: int, reason: Reason) -> None:
    assert outcome(response(status)) == Retry(reason, f"HTTP {status}")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(301, Reason.REDIRECT), *((status, Reason.HTTP_4XX) for status in (400, 409, 413, 422, 431))],
)
def test_permanent_statuses_are_rejected(status: int, reason: Reason) -> None:
    assert outcome(response(status)) == Rejected(reason, f"HTTP {status}")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_delivers(status: int) -> None:
    assert outcome(response(status, b"no")) == Delivered()


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0", 0),
        (formatdate(NOW_S + 90, usegmt=True), 90),
        (formatdate(NOW_S - 90, usegmt=True), 0),
        ("Sat, 11 May 2024 12:30:00 -0000", 40),
        ("99999999", 86_400),
        (formatdate(NOW_S + 10**9, usegmt=True), 86_400),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("Sat, 99 May 2024 12:30:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(retry_after: str, seconds: float | None) -> None:
    expected = pytest.approx(seconds, abs=1) if seconds else seconds
    assert retry_after_s(response(503, retry_after=retry_after), NOW_S) == expected


def test_every_retry_has_the_requested_pause() -> None:
    assert outcome(response(503, retry_after="30")) == Retry(Reason.HTTP_5XX, "HTTP 503", 30)


def test_the_detail_is_one_short_line() -> None:
    result = outcome(response(400, b"<p>\n\tno\x00good\x1b[2J</p>  \xff" + b"x" * 1000))
    assert isinstance(result, Rejected)
    assert result.detail.startswith("HTTP 400: <p> nogood [2J</p> �xxx")
    assert len(result.detail) == len("HTTP 400: ") + 200


@pytest.mark.parametrize(
    "echo",
    [
        URL.reveal(),
        URL.reveal().upper(),
        "/services/T0/0123456789abcdefXYZ",
        "token 0123456789abcdefXYZ",
        "https%3A%2F%2Fhooks.example.com%2Fservices%2FT0%2F0123456789abcdefXYZ%3Fk%3Dv",
        r"https:\/\/hooks.example.com\/services\/T0\/0123456789abcdefXYZ",
        "x" * 195 + "0123456789abcdefXYZ",
    ],
)
def test_no_detail_contains_a_token_that_the_service_echoes(echo: str) -> None:
    result = outcome(response(404, f"no such hook: {echo}".encode()))
    assert isinstance(result, Retry)
    assert "0123456789abcdef".lower() not in result.detail.lower()
    assert result.detail.startswith("HTTP 404: no such hook: ")


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"message": "You are being rate limited.", "retry_after": 0.57, "global": false}', 0.57),
        (b'{"ok": false, "error": "rate_limited", "retry_after": 30}', 30),
        (b'{"retry_after": 1e999}', None),
        (b'{"retry_after": 99999999}', 86_400),
        (b'{"retry_after": ' + b"9" * 400 + b"}", 86_400),
        (b'{"retry_after": -1}', None),
        (b'{"retry_after": "30"}', None),
        (b'{"error": {"retry_after": 30}}', None),
        (b'["retry_after", 30]', None),
        (b'{"retry_after": 30', None),
        (b'{"retry_after": 30, "x": "' + b"x" * MAX_RETRY_BODY_BYTES + b'"}', None),
    ],
)
def test_the_body_may_say_how_long_to_wait(body: bytes, seconds: float | None) -> None:
    assert retry_after_s(response(429, body), NOW_S) == seconds


@pytest.mark.parametrize(
    ("kind", "delay", "seconds"),
    [
        ("RetryInfo", "30s", 30),
        ("RetryInfo", "5.25s", 5.25),
        ("RetryInfo", "999999s", 86_400),
        ("RetryInfo", "-3s", None),
        ("RetryInfo", "soon", None),
        ("RetryInfo", 30, None),
        ("QuotaFailure", "30s", None),
    ],
)
def test_google_says_how_long_to_wait_in_its_retry_info(kind: str, delay: object, seconds: float | None) -> None:
    details = [7, {"@type": "type.googleapis.com/google.rpc.Help"}]
    details.append({"@type": f"type.googleapis.com/google.rpc.{kind}", "retryDelay": delay})
    assert retry_after_s(response(429, {"error": {"code": 429, "details": details}}), NOW_S) == seconds


def test_the_header_has_priority_over_the_body() -> None:
    assert retry_after_s(response(429, b'{"retry_after": 30}', retry_after="7"), NOW_S) == 7
