"""One HTTP call of libcurl. Its time limit applies to the whole call, from the first to the last byte.

The limit includes name resolution, the proxy and TLS, and it stops a server that sends only one byte a second. libcurl
uses a quarter of the CPU time of `requests` (`ops/docs/decisions/0004`). Before it reuses an idle connection, it checks
whether the server has closed it.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

import pycurl

from workers.calls import Response
from workers.transports.http.addresses import refusal
from workers.transports.http.errors import broken_by
from workers.transports.http.multi import MAX_IDLE_S
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.settings.schema import Policy
    from workers.transports.http.connections import Route
    from workers.transports.http.multi import Multi

FINAL: Final = 200
"""Lower status codes are interim: the final one follows (RFC 9110, 15.2)."""

_MAX_KEPT_BODY_BYTES: Final = 65_536
"""libcurl keeps a reference to the last body; a larger one is released after the call."""

_PROBE_AFTER_S: Final = 30
_PROBE_INTERVAL_S: Final = 10
"""Keep-alive probes start after 30 s, before common firewalls silently drop an idle connection."""

_OF_A_PROXY: Final = {pycurl.CAINFO: pycurl.PROXY_CAINFO, pycurl.CAPATH: pycurl.PROXY_CAPATH}
"""libcurl's option for the trusted authorities → the same option for a proxy with TLS."""


class RequestTemplate:
    """A request without its body, prepared for libcurl. It contains secrets, so its `repr` omits its parts.

    `url` has no user and password, `headers` are lines, `policy` names the trusted authorities.
    """

    __slots__ = ("accept_encoding", "headers", "method", "policy", "route", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: list[bytes],
        *,
        accept_encoding: str,
        route: Route,
        policy: Policy,
    ) -> None:
        self.method, self.url, self.headers = method, url, headers
        self.accept_encoding, self.route, self.policy = accept_encoding, route, policy


class Transfer:
    """Makes calls one after the other. With the same template, a call sets only one option of libcurl: its body."""

    def __init__(self) -> None:
        self._curl = pycurl.Curl()
        self._template: RequestTemplate | None = None
        self._limit_s = 0.0
        self._max_body_bytes = 0
        self._is_once = False
        self._lines: list[bytes] = []
        self._body = bytearray()
        self._refused, self._opened = "", False
        self._socket: socket.socket | None = None

    async def call(
        self,
        multi: Multi,
        template: RequestTemplate,
        body: bytes | None,
        limit_s: float,
        max_body_bytes: int,
        *,
        is_once: bool = False,
    ) -> Response:
        """Return the response to one request, which may take `limit_s`, with at most `max_body_bytes` of its body.

        After a final status line there is always a response; `broken` says why the rest cannot be read. The target has
        processed the request by then, and a repeated request would be a duplicate. Raises `pycurl.error` if no final
        status line arrives. With `is_once` the request gets a connection of its own: libcurl itself repeats a request
        if a connection that it has reused ends without a response.
        """
        curl = self._curl
        if template is not self._template:
            self._configure(template)
        if limit_s != self._limit_s:
            self._limit(limit_s, template.policy.connect_timeout_s)
        if is_once is not self._is_once:
            curl.setopt(pycurl.FRESH_CONNECT, is_once)
            self._is_once = is_once
        if body is None and template.method == "GET":
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            curl.setopt(pycurl.POSTFIELDS, body or b"")
        self._lines.clear()
        self._body.clear()
        self._refused, self._opened = "", False
        self._max_body_bytes = max_body_bytes
        broken = ""
        try:
            await multi.perform(curl)
        except pycurl.error as error:
            if curl.getinfo(pycurl.RESPONSE_CODE) < FINAL:
                raise
            if len(self._body) < max_body_bytes:
                broken = broken_by(error.args[0])
        if body and len(body) > _MAX_KEPT_BODY_BYTES:
            curl.setopt(pycurl.POSTFIELDS, b"")
        status, headers = curl.getinfo(pycurl.RESPONSE_CODE), _headers(self._lines)
        is_cut = bool(broken) or len(self._body) >= max_body_bytes
        return Response(status=status, headers=headers, body=bytes(self._body), broken=broken, is_cut=is_cut)

    def last_error(self) -> tuple[int, int]:
        """Return the system's error number and the proxy's status of the last failed call, 0 for none."""
        return self._curl.getinfo(pycurl.OS_ERRNO), self._curl.getinfo(pycurl.HTTP_CONNECTCODE)

    def refused(self) -> str:
        """Return why the last call was blocked (`addresses`); empty if it could open a connection to any address."""
        return "" if self._opened else self._refused

    def close(self) -> None:
        """Free the memory. reset() breaks the callbacks' reference cycle: workers seldom collect garbage."""
        self._curl.reset()
        self._curl.close()

    def _configure(self, template: RequestTemplate) -> None:
        curl = self._curl
        curl.reset()
        self._template, self._limit_s, self._is_once = None, 0.0, False
        curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl-thread(3): a signal would hit any thread
        curl.setopt(pycurl.URL, template.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.CUSTOMREQUEST, template.method)
        curl.setopt(pycurl.HTTPHEADER, template.headers)
        curl.setopt(pycurl.ACCEPT_ENCODING, template.accept_encoding)
        curl.setopt(pycurl.PROXY, template.route.proxy)
        curl.setopt(pycurl.NOPROXY, "")  # the transport has already applied the environment's
        curl.setopt(pycurl.MAXAGE_CONN, MAX_IDLE_S)
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.TCP_KEEPIDLE, _PROBE_AFTER_S)
        curl.setopt(pycurl.TCP_KEEPINTVL, _PROBE_INTERVAL_S)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._close_copy)
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._append)
        _set_trust(curl, template.policy)
        self._template = template  # set last: if an option above is refused, the next call configures everything again

    def _limit(self, limit_s: float, connect_timeout_s: float) -> None:
        self._limit_s = limit_s
        self._curl.setopt(pycurl.TIMEOUT_MS, _ms(limit_s))
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, _ms(min(limit_s, connect_timeout_s)))

    def _open(self, _purpose: int, to: Any) -> socket.socket | int:
        """Return a socket for one of the target's addresses, or SOCKET_BAD if the address is blocked."""
        assert self._template is not None  # noqa: S101 — libcurl connects only within a call
        why = refusal(to.addr[0], self._template.policy, of_proxy=bool(self._template.route.proxy))
        if why:
            self._refused = why
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        self._socket = socket.socket(to.family, to.socktype, to.protocol)
        return self._socket

    def _close_copy(self, descriptor: int, _purpose: int) -> int:
        """Close our socket: pycurl has duplicated it for libcurl. Scripts must not inherit the duplicate."""
        if self._socket:
            self._socket.close()
        os.set_inheritable(descriptor, False)
        return int(pycurl.SOCKOPT_OK)

    def _append(self, chunk: bytes) -> int:
        """Keep the chunk up to the body limit. Returning less than its length makes libcurl end the call."""
        kept = chunk[: self._max_body_bytes - len(self._body)]
        self._body += kept
        return len(kept)


def _set_trust(curl: pycurl.Curl, policy: Policy) -> None:
    curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    curl.setopt(pycurl.SSL_VERIFYPEER, policy.verify_tls)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2 if policy.verify_tls else 0)
    curl.setopt(pycurl.PROXY_SSL_VERIFYPEER, policy.verify_tls)
    curl.setopt(pycurl.PROXY_SSL_VERIFYHOST, 2 if policy.verify_tls else 0)
    for option in (*_OF_A_PROXY, *_OF_A_PROXY.values()):
        curl.unsetopt(option)
    authorities = trust_store_of(policy)
    option = pycurl.CAPATH if authorities.is_folder else pycurl.CAINFO
    curl.setopt(option, authorities.path)
    curl.setopt(_OF_A_PROXY[option], authorities.path)
    if policy.client_cert:
        curl.setopt(pycurl.SSLCERT, str(policy.client_cert))
        curl.setopt(pycurl.SSLKEY, str(policy.client_key or policy.client_cert))
        curl.setopt(pycurl.KEYPASSWD, "")  # otherwise OpenSSL asks for it on the terminal


def _ms(seconds: float) -> int:
    return max(1, round(1000 * seconds))  # 0 is no limit


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Return the final response's headers, repeated ones joined (RFC 9110, 5.3), not those of a proxy or 1xx."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(b"HTTP/"):
            found.clear()
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.strip().lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found
