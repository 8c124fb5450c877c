from __future__ import annotations

import pycurl
import pytest

from common.outcome import Reason
from workers.integrations.base import PERMANENT_ERRORS
from workers.transports.http.errors import REASONS, classify

OF_OPENSSL = "TLS connect error: error:0A000{}:SSL routines::{}"


def test_temporary_errors_are_never_final() -> None:
    final = {code for code, reason in REASONS.items() if reason in PERMANENT_ERRORS}
    assert final == {pycurl.E_URL_MALFORMAT}


@pytest.mark.parametrize("code", [*range(1, 120), 99_999])
def test_no_text_of_libcurl_is_passed_on(code: int) -> None:
    reason, words = classify(code, "http://host/s3cret: s3cret", errno=111)
    assert "s3cret" not in words
    assert reason is REASONS.get(code, Reason.INTERNAL)


def test_the_system_s_error_is_in_the_text() -> None:
    assert classify(pycurl.E_COULDNT_CONNECT, "", errno=111) == (Reason.CONNECTION_FAILED, "Connection refused")
    assert classify(pycurl.E_RECV_ERROR, "", errno=104) == (Reason.CONNECTION_FAILED, "Connection reset by peer")
    assert classify(pycurl.E_PARTIAL_FILE, "", errno=104) == (Reason.INVALID_RESPONSE, "the response ended too early")


def test_the_status_of_a_refusing_proxy_is_in_the_text() -> None:
    assert classify(pycurl.E_RECV_ERROR, "", proxy_status=407) == (
        Reason.CONNECTION_FAILED,
        "the proxy responded with 407",
    )
    assert classify(pycurl.E_RECV_ERROR, "", proxy_status=200) == (Reason.CONNECTION_FAILED, "")


@pytest.mark.parametrize(
    ("number", "words", "reason"),
    [
        ("438", "tlsv1 alert internal error", Reason.CONNECTION_FAILED),
        ("126", "unexpected eof while reading", Reason.CONNECTION_FAILED),
        ("10B", "wrong version number", Reason.TLS),
        ("45C", "tlsv13 alert certificate required", Reason.TLS),
    ],
)
@pytest.mark.parametrize("code", [pycurl.E_SSL_CONNECT_ERROR, pycurl.E_RECV_ERROR])
def test_a_failed_handshake_is_final_only_for_the_certificate(
    code: int, number: str, words: str, reason: Reason
) -> None:
    assert classify(code, OF_OPENSSL.format(number, words)) == (reason, words)
    assert classify(code, f"{OF_OPENSSL.format(number, words)}, errno 0") == (reason, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SSL certificate problem: certificate has expired", "certificate has expired"),
        ("SSL certificate OpenSSL verify result: self-signed certificate (18)", "self-signed certificate"),
        ("SSL: no alternative certificate subject name matches target host name 's3cret'", "mismatch"),
        ("something new about s3cret", ""),
    ],
)
def test_certificate_errors_have_a_reason(text: str, words: str) -> None:
    reason, detail = classify(pycurl.E_PEER_FAILED_VERIFICATION, text)
    assert reason is Reason.TLS
    assert detail.endswith(words)
    assert "s3cret" not in detail
