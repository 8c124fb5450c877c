"""HTTP calls over kept-alive connections, each within one time limit for the call as a whole.

Nothing is carried over from one call to the next but the connections: no cookies, no redirects, no credentials from
~/.netrc. A request that is sent again and again is prepared once: that costs several times what the call does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pycurl
from requests import PreparedRequest
from requests.exceptions import InvalidHeader, InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import default_headers, get_environ_proxies, select_proxy

from common.errors import TransportError
from common.outcome import Reason
from workers.transports.http.addresses import refusal_behind_proxy
from workers.transports.http.connection import RequestTemplate
from workers.transports.http.errors import classify
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.settings.schema import Policy
    from workers.calls import Request, Response
    from workers.transports.http.connection import Connection
    from workers.transports.http.pool import ConnectionPool

_UNKNOWN_AUTHORITY: Final = ("issuer certificate", "self-signed", "self signed")
"""Parts of OpenSSL's words for a chain that ends at no trusted authority (X509_verify_cert_error_string(3))."""

_CACHE_SIZE: Final = 256
"""Prepared requests: one is enough where the URL stays the same, and look-ups of one address repeat."""

Pairs = tuple[tuple[str, str], ...]


class HttpTransport:
    """Makes the calls of one integration, from any number of threads, over `connections` that others use as well."""

    def __init__(self, policy: Policy, connections: ConnectionPool) -> None:
        self._policy, self._connections = policy, connections
        self._cache = lru_cache(_CACHE_SIZE)(self._prepare)

    def send(self, call: Request) -> Response:
        """Make the call and return its answer, whatever its status; a body over the limit is cut there.

        Raises TransportError, whose detail names host and port, never path, query or user.
        """
        limit_s = call.timeout_s or self._policy.request_timeout_s
        try:
            head = self._cache(call.method, call.url, tuple(call.headers.items()), tuple(call.params.items()))
        except TransportError:
            raise
        except Exception as error:  # noqa: BLE001 — whatever a URL or a header makes the library raise
            raise TransportError(Reason.INVALID_URL, _unsendable(error)) from None
        with self._connections.acquire(head.origin) as connection:
            try:
                return connection.call(head, call.body, limit_s, call.max_body_bytes)
            except pycurl.error as error:
                raise self._failure(error, connection, _where(call.url), limit_s) from None
            except Exception as error:  # noqa: BLE001 — a text that libcurl does not take may be a secret's
                told = f"{type(error).__name__} on the way to {_where(call.url)}"
                raise TransportError(Reason.INTERNAL, told) from None

    def _prepare(self, method: str, url: str, headers: Pairs, params: Pairs) -> RequestTemplate:
        request = prepare(method, url, dict(headers), dict(params))
        sent_to = request.url or url
        parts = urlsplit(sent_to)
        if parts.scheme not in {"http", "https"} or not _is_name(parts.hostname or ""):
            raise InvalidURL(url)
        if self._policy.proxy:
            proxy = self._policy.proxy.reveal()
        else:
            proxy = select_proxy(sent_to, get_environ_proxies(sent_to, no_proxy=None)) or ""
        if proxy and (why := refusal_behind_proxy(parts.hostname or "", self._policy)):
            raise TransportError(Reason.NOT_CONFIGURED, f"no connection to {_where(url)}: {why}")
        host = parts.netloc.rpartition("@")[2]  # a header has user and password already
        origin = f"{parts.scheme}://{host}"
        if self._policy.deny_private:  # no connection that an integration without it has made
            origin += f" deny_private {self._policy.allow_private}"
        return RequestTemplate(
            method,
            parts._replace(netloc=host).geturl(),
            _lines(request.headers),
            origin=origin,
            accept_encoding=request.headers["Accept-Encoding"],
            proxy=proxy,
            policy=self._policy,
        )

    def _failure(self, error: pycurl.error, connection: Connection, where: str, limit_s: float) -> TransportError:
        code, text = error.args
        if code == pycurl.E_COULDNT_CONNECT and (why := connection.refused()):
            return TransportError(Reason.NOT_CONFIGURED, f"no connection to {where}: {why}")
        errno, proxy_status = connection.last_error()
        reason, words = classify(code, text, errno=errno, proxy_status=proxy_status)
        if reason is Reason.NOT_CONFIGURED:
            return self._file_error(code)
        told = {
            Reason.TIMEOUT: f"{where} did not answer in time; the call had {limit_s:g} s",
            Reason.TLS: f"{where} is not trusted, or does not speak TLS",
            Reason.CONNECTION_FAILED: f"no connection to {where}",
            Reason.INVALID_RESPONSE: f"the answer of {where} cannot be read",
            Reason.INVALID_URL: _NO_URL,
        }.get(reason, f"error {code} of libcurl on the way to {where}")
        if reason is Reason.TLS and any(part in words for part in _UNKNOWN_AUTHORITY):
            authorities = trust_store_of(self._policy)
            words += f" in {authorities.path} ({authorities.name}); name the file of its authority in ca_bundle"
        return TransportError(reason, f"{told}: {words}" if words else told)

    def _file_error(self, code: int) -> TransportError:
        """Say which file of the settings does not serve, and why."""
        of_client = {"client_cert": self._policy.client_cert, "client_key": self._policy.client_key}
        authorities = trust_store_of(self._policy)
        of_server = [(authorities.name, part) for part in authorities.parts]
        files = list(of_client.items()) if code == pycurl.E_SSL_CERTPROBLEM else of_server
        for setting, file in files:
            try:
                if file is None or b"-----BEGIN " in file.read_bytes():
                    continue
                words = "no PEM file"
            except IsADirectoryError:
                words = "a folder without hashed names; run `openssl rehash` on it"
            except OSError as error:
                words = error.strerror or "it cannot be read"
            return TransportError(Reason.NOT_CONFIGURED, f"{setting} {file} cannot be used: {words}")
        names = " and ".join(f"{setting} {file}" for setting, file in files if file)
        return TransportError(Reason.NOT_CONFIGURED, f"{names} cannot be used: no certificate with its key, or broken")


def prepare(method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str]) -> PreparedRequest:
    """Return a request without its body, with the headers of a stock script's `requests` (spec 5.1).

    Raises whatever a URL or a header makes the libraries raise; its text may quote them.
    """
    merged = CaseInsensitiveDict({**default_headers(), "Accept-Encoding": "gzip, deflate"})
    merged.update(headers)
    request = PreparedRequest()
    request.prepare(method=method, url=url, headers=merged, params=dict(params))
    return request


def _lines(headers: Mapping[str, str]) -> list[bytes]:
    """Return headers as libcurl takes them. Raises UnicodeEncodeError for what no header can carry."""
    lines = [f"{name}: {value}" if value else f"{name};" for name, value in headers.items() if name != "Content-Length"]
    unwanted = ["Expect:"] if "Content-Type" in headers else ["Expect:", "Content-Type:"]
    return [line.encode("latin-1") for line in lines + unwanted]


def _is_name(host: str) -> bool:
    """Say whether a host's labels have a length that they may have (RFC 1035, 2.3.4)."""
    return all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))  # noqa: PLR2004 — the RFC's own


def _where(url: str) -> str:
    """Return host and port, or no more than that there is one where a password may have slipped into the host."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the target"
    if not host or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return "the target"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


_NO_URL: Final = "hook_url is no http:// or https:// URL that can be called"


def _unsendable(error: Exception) -> str:
    if isinstance(error, InvalidHeader | UnicodeEncodeError):
        return "a header cannot be sent: is there a line end or another odd character in api_key?"
    return _NO_URL
