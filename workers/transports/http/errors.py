"""One table from libcurl's errors (libcurl-errors(3)) to a reason and to words.

Its own texts quote hosts and URLs, and a hook's path is its secret. So no text of its is passed on: what people read is
made of our words, of the operating system's and of OpenSSL's, which name no URL.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import pycurl

from common.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONS: Final[Mapping[int, Reason]] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.INVALID_RESPONSE,  # HTTP/0.9, which is anything at all; the URL was looked at
    pycurl.E_URL_MALFORMAT: Reason.INVALID_URL,
    pycurl.E_COULDNT_RESOLVE_PROXY: Reason.CONNECTION_FAILED,
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.CONNECTION_FAILED,
    pycurl.E_COULDNT_CONNECT: Reason.CONNECTION_FAILED,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Reason.INVALID_RESPONSE,  # CURLE_WEIRD_SERVER_REPLY by now
    pycurl.E_PARTIAL_FILE: Reason.INVALID_RESPONSE,
    pycurl.E_WRITE_ERROR: Reason.INVALID_RESPONSE,  # what was packed cannot be unpacked
    pycurl.E_OPERATION_TIMEDOUT: Reason.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Reason.CONNECTION_FAILED,  # unless OpenSSL names what it was: see below
    pycurl.E_GOT_NOTHING: Reason.CONNECTION_FAILED,
    pycurl.E_SEND_ERROR: Reason.CONNECTION_FAILED,
    pycurl.E_RECV_ERROR: Reason.CONNECTION_FAILED,
    pycurl.E_SSL_CERTPROBLEM: Reason.NOT_CONFIGURED,
    pycurl.E_SSL_CIPHER: Reason.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: Reason.TLS,
    pycurl.E_BAD_CONTENT_ENCODING: Reason.INVALID_RESPONSE,
    pycurl.E_SEND_FAIL_REWIND: Reason.CONNECTION_FAILED,
    pycurl.E_SSL_CACERT_BADFILE: Reason.NOT_CONFIGURED,
    pycurl.E_SSL_SHUTDOWN_FAILED: Reason.CONNECTION_FAILED,
    pycurl.E_SSL_INVALIDCERTSTATUS: Reason.TLS,
    97: Reason.CONNECTION_FAILED,  # CURLE_PROXY
    100: Reason.INVALID_RESPONSE,  # CURLE_TOO_LARGE: the headers
}
"""By libcurl's number; what is missing cannot come of a call, and is retried."""

_WORDS: Final[Mapping[int, str]] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "it is not HTTP as it should be",
    pycurl.E_COULDNT_RESOLVE_PROXY: "the proxy's name is not known",
    pycurl.E_COULDNT_RESOLVE_HOST: "its name is not known",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "it is not HTTP as it should be",
    pycurl.E_PARTIAL_FILE: "the answer ended too early",
    pycurl.E_GOT_NOTHING: "it closed the connection without an answer",
    97: "the proxy does not carry it on",
    100: "it is not HTTP as it should be",
}
_BY_THE_SYSTEM: Final = {pycurl.E_COULDNT_CONNECT, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_SSL_CONNECT_ERROR}
"""Errors that the operating system's error number explains."""

_CERTIFICATE_CODES: Final = re.compile(
    r"SSL certificate (?:problem|OpenSSL verify result): (?P<words>[A-Za-z][\w ,'-]*\w)"
)
_OPENSSL: Final = re.compile(r"error:[0-9A-F]{8}:[^:]*:[^:]*:(?P<words>[\w ]+)")
_OTHER_HOST: Final = re.compile(r"no alternative certificate subject name|does not match target")

_TRANSIENT_TLS: Final = ("eof", "internal error", "user cancel", "syscall")
"""Parts of OpenSSL's words for what ends a handshake without judging the certificate: worth another try."""


def classify(code: int, text: str, *, errno: int = 0, proxy_status: int = 0) -> tuple[Reason, str]:
    """Return the reason and words free of secrets, empty if there are none.

    `code` and `text` are libcurl's, `errno` the system's, `proxy_status` what a proxy has answered; 0 for none.
    """
    if proxy_status >= 300:  # noqa: PLR2004 — RFC 9110, 9.3.6: it has opened the tunnel with any 2xx
        return Reason.CONNECTION_FAILED, f"the proxy answers {proxy_status}"
    reason = REASONS.get(code, Reason.INTERNAL)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return reason, _certificate_error(text)
    if reason is Reason.CONNECTION_FAILED and (of_openssl := _OPENSSL.search(text)):
        words = of_openssl["words"].strip()
        return Reason.CONNECTION_FAILED if any(part in words for part in _TRANSIENT_TLS) else Reason.TLS, words
    if code == pycurl.E_RECV_ERROR and "chunk" in text:
        return Reason.INVALID_RESPONSE, ""
    if errno and code in _BY_THE_SYSTEM:
        return reason, os.strerror(errno)
    return reason, _WORDS.get(code, "")


def broken_by(code: int) -> str:
    """Return, by libcurl's number, why the rest of an answer whose status has come cannot be read."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return "its body did not end in time"
    return _WORDS.get(code, "its body cannot be read")


def _certificate_error(text: str) -> str:
    if found := _CERTIFICATE_CODES.search(text):
        return found["words"]
    return "the certificate is for another host: mismatch" if _OTHER_HOST.search(text) else ""
