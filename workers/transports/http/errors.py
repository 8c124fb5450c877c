"""Maps libcurl's errors (libcurl-errors(3)) to a reason and an error text.

libcurl's own texts quote hosts and URLs, and the path of a hook is a secret. So no text of libcurl is passed on. Error
texts contain only our words and those of the operating system and OpenSSL, which do not name URLs.
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
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.INVALID_RESPONSE,  # HTTP/0.9, which is any bytes; the URL was checked
    pycurl.E_URL_MALFORMAT: Reason.INVALID_URL,
    pycurl.E_COULDNT_RESOLVE_PROXY: Reason.CONNECTION_FAILED,
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.CONNECTION_FAILED,
    pycurl.E_COULDNT_CONNECT: Reason.CONNECTION_FAILED,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Reason.INVALID_RESPONSE,  # now named CURLE_WEIRD_SERVER_REPLY
    pycurl.E_PARTIAL_FILE: Reason.INVALID_RESPONSE,
    pycurl.E_WRITE_ERROR: Reason.INVALID_RESPONSE,  # the compressed body cannot be decoded
    pycurl.E_OPERATION_TIMEDOUT: Reason.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Reason.CONNECTION_FAILED,  # unless OpenSSL names the cause: see below
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
"""By libcurl's number. A call cannot cause any other error; it would be retried as INTERNAL."""

_WORDS: Final[Mapping[int, str]] = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "it is not valid HTTP",
    pycurl.E_COULDNT_RESOLVE_PROXY: "the proxy's host name cannot be resolved",
    pycurl.E_COULDNT_RESOLVE_HOST: "the host name cannot be resolved",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "it is not valid HTTP",
    pycurl.E_PARTIAL_FILE: "the response ended too early",
    pycurl.E_GOT_NOTHING: "it closed the connection without a response",
    97: "the proxy did not forward the connection",
    100: "it is not valid HTTP",
}
_BY_THE_SYSTEM: Final = {pycurl.E_COULDNT_CONNECT, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR, pycurl.E_SSL_CONNECT_ERROR}
"""Errors that the system's error number explains."""

_CERTIFICATE_CODES: Final = re.compile(
    r"SSL certificate (?:problem|OpenSSL verify result): (?P<words>[A-Za-z][\w ,'-]*\w)"
)
_OPENSSL: Final = re.compile(r"error:[0-9A-F]{8}:[^:]*:[^:]*:(?P<words>[\w ]+)")
_OTHER_HOST: Final = re.compile(r"no alternative certificate subject name|does not match target")

_TRANSIENT_TLS: Final = ("eof", "internal error", "user cancel", "syscall")
"""Parts of OpenSSL's texts for a handshake that ended without a verdict on the certificate: retried."""


def classify(code: int, text: str, *, errno: int = 0, proxy_status: int = 0) -> tuple[Reason, str]:
    """Return the reason and an explanation without secrets, which may be empty.

    `code` and `text` are libcurl's, `errno` is the system's, `proxy_status` is the status of the proxy; 0 for none.
    """
    if proxy_status >= 300:  # noqa: PLR2004 — RFC 9110, 9.3.6: any 2xx opens the tunnel
        return Reason.CONNECTION_FAILED, f"the proxy responded with {proxy_status}"
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
    """Return why the rest of a response cannot be read whose status has arrived. `code` is libcurl's."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return "its body did not end in time"
    return _WORDS.get(code, "its body cannot be read")


def _certificate_error(text: str) -> str:
    if found := _CERTIFICATE_CODES.search(text):
        return found["words"]
    return "the certificate is for another host: mismatch" if _OTHER_HOST.search(text) else ""
