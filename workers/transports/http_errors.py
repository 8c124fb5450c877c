"""One table from everything that `requests`, urllib3 and the sockets below them raise to a reason and to words.

Their own texts quote URLs, and a hook's path is its secret. So no text of theirs is passed on: what people read is
made of our words, of the operating system's and of OpenSSL's, which name no URL.
"""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING, Final

import requests.exceptions as of_requests
import urllib3.exceptions as of_urllib3

from common.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REASONS: Final[Mapping[type[BaseException], Reason]] = {
    of_requests.RequestException: Reason.INTERNAL,
    of_requests.InvalidJSONError: Reason.INTERNAL,
    of_requests.JSONDecodeError: Reason.INTERNAL,
    of_requests.HTTPError: Reason.INTERNAL,
    of_requests.ConnectionError: Reason.CONNECT,
    of_requests.ProxyError: Reason.CONNECT,
    of_requests.SSLError: Reason.TLS,
    of_requests.Timeout: Reason.TIMEOUT,
    of_requests.ConnectTimeout: Reason.TIMEOUT,
    of_requests.ReadTimeout: Reason.TIMEOUT,
    of_requests.URLRequired: Reason.BAD_URL,
    of_requests.TooManyRedirects: Reason.REDIRECT,
    of_requests.MissingSchema: Reason.BAD_URL,
    of_requests.InvalidSchema: Reason.BAD_URL,
    of_requests.InvalidURL: Reason.BAD_URL,
    of_requests.InvalidHeader: Reason.BAD_URL,
    of_requests.InvalidProxyURL: Reason.NOT_CONFIGURED,
    of_requests.ChunkedEncodingError: Reason.BAD_ANSWER,
    of_requests.ContentDecodingError: Reason.BAD_ANSWER,
    of_requests.StreamConsumedError: Reason.INTERNAL,
    of_requests.RetryError: Reason.CONNECT,
    of_requests.UnrewindableBodyError: Reason.INTERNAL,
    of_urllib3.HTTPError: Reason.CONNECT,
    of_urllib3.TimeoutError: Reason.TIMEOUT,
    of_urllib3.NewConnectionError: Reason.CONNECT,  # which urllib3 derives from its time-outs
    of_urllib3.SSLError: Reason.TLS,
    of_urllib3.ProtocolError: Reason.BAD_ANSWER,
    of_urllib3.DecodeError: Reason.BAD_ANSWER,
    of_urllib3.LocationValueError: Reason.BAD_URL,
    HTTPException: Reason.BAD_ANSWER,
    ssl.SSLError: Reason.TLS,
    TimeoutError: Reason.TIMEOUT,
    OSError: Reason.CONNECT,
    UnicodeError: Reason.BAD_URL,
    Exception: Reason.INTERNAL,
}
"""By class; of an exception's classes the nearest counts."""

_PASSING: Final = ("EOF", "INTERNAL_ERROR", "USER_CANCEL", "SYSCALL")
"""Parts of OpenSSL's names for what ends a handshake without judging the certificate: worth another try."""

_WORDS: Final = (
    (RemoteDisconnected, "it closed the connection without an answer"),
    (IncompleteRead, "the answer ended too early"),
    (HTTPException, "it is not HTTP as it should be"),
)


def reason_of(error: BaseException) -> Reason:
    """Return the reason, looking below what wraps a time-out or a connection that was cut during its handshake."""
    reason = next(REASONS[kind] for kind in type(error).__mro__ if kind in REASONS)
    if reason not in {Reason.CONNECT, Reason.TLS, Reason.BAD_ANSWER}:
        return reason
    chain = list(_chain(error))
    if any(map(_is_timeout, chain)):
        return Reason.TIMEOUT
    if any(isinstance(one, HTTPException) and not isinstance(one, RemoteDisconnected) for one in chain):
        return Reason.BAD_ANSWER
    trouble = next((one for one in chain if isinstance(one, ssl.SSLError)), None)
    if trouble is None:
        return Reason.CONNECT if reason is Reason.TLS and any(isinstance(one, OSError) for one in chain[1:]) else reason
    return Reason.CONNECT if _is_passing(trouble) else Reason.TLS


def words_of(error: BaseException) -> str:
    """Return what lies at the bottom of `error`, in words free of secrets; empty if there are none."""
    return next(filter(None, map(_words, reversed(list(_chain(error))))), "")


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or (
        isinstance(error, of_urllib3.TimeoutError) and not isinstance(error, of_urllib3.NewConnectionError)
    )


def _is_passing(error: ssl.SSLError) -> bool:
    return isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError) or any(
        part in (error.reason or "EOF") for part in _PASSING
    )


def _words(error: BaseException) -> str:
    if isinstance(error, HTTPException):
        return next(words for kind, words in _WORDS if isinstance(error, kind))
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "").lower().replace("_", " ")
    if isinstance(error, OSError):
        refused = re.search(r"Tunnel connection failed: ([0-9]{3})", str(error))
        return f"the proxy answers {refused[1]}" if refused else error.strerror or ""
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and all that it wraps or came from, each once, the outer ones first."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop(0)
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            inside = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
            pending += [other for other in inside if isinstance(other, BaseException)]
