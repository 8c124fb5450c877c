"""A kept-alive connection, made by libcurl, whose time limit holds for a call from the first to the last byte.

The look-up of the host's name, the proxy and TLS are within it, and no server that sends a byte a second outlasts it.
libcurl takes a quarter of the CPU that `requests` does (`ops/docs/decisions/0004`). It looks whether an idle connection
was closed by the other side before it is used again, and uses none that was idle for two minutes.
"""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, Any, Final

import pycurl

from workers.calls import Response
from workers.transports.http.addresses import refusal
from workers.transports.http.errors import broken_by
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from common.settings.schema import Policy

_ENDED: Final = getattr(select, "POLLRDHUP", 0)
"""Linux's event for a peer that has closed (poll(2)); elsewhere only a broken connection is seen."""

FINAL: Final = 200
"""A lower status announces another one (RFC 9110, 15.2)."""

_MAX_KEPT_BODY_BYTES: Final = 65_536
"""A body larger than this is not held until the next one comes."""

_PROBED_AFTER_S: Final = 30
_PROBED_EVERY_S: Final = 10
"""Probes after 30 s, under the shortest idle limits of common firewalls, which forget a connection in silence."""

_OF_A_PROXY: Final = {pycurl.CAINFO: pycurl.PROXY_CAINFO, pycurl.CAPATH: pycurl.PROXY_CAPATH}
"""What names the trusted ones → the same for a proxy that is spoken to with TLS."""


class RequestTemplate:
    """A request without its body, ready for libcurl. It holds secrets, so its `repr` shows nothing of it.

    `url` is without user and password, `headers` are lines, `proxy` is empty for none, `policy` says what is trusted.
    Calls of one `origin` share connections.
    """

    __slots__ = ("accept_encoding", "headers", "method", "origin", "policy", "proxy", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: list[bytes],
        *,
        origin: str,
        accept_encoding: str,
        proxy: str,
        policy: Policy,
    ) -> None:
        self.method, self.url, self.headers, self.origin = method, url, headers, origin
        self.accept_encoding, self.proxy, self.policy = accept_encoding, proxy, policy


class Connection:
    """Makes calls one after the other. With the same head the next one costs a single option of libcurl: its body."""

    def __init__(self) -> None:
        self._curl = pycurl.Curl()
        self._head: RequestTemplate | None = None
        self._limit_s = 0.0
        self._max_body_bytes = 0
        self._lines: list[bytes] = []
        self._body = bytearray()
        self._refused, self._opened = "", False
        self._lent: socket.socket | None = None

    def call(self, head: RequestTemplate, body: bytes | None, limit_s: float, max_body_bytes: int) -> Response:
        """Return the answer to one request, which has `limit_s` seconds, and at most so much of its body.

        Once a final status line has come there is an answer, `broken` where the rest of it cannot be read: what the
        target did with the request is known, and to ask again would do it twice. Raises `pycurl.error` if none has.
        """
        curl = self._curl
        if head is not self._head:
            self._configure(head)
        if limit_s != self._limit_s:
            self._limit(limit_s, head.policy.connect_timeout_s)
        if body is None and head.method == "GET":
            curl.setopt(pycurl.HTTPGET, 1)
        else:
            curl.setopt(pycurl.POSTFIELDS, body or b"")
        self._lines.clear()
        self._body.clear()
        self._refused, self._opened = "", False
        self._max_body_bytes = max_body_bytes
        broken = ""
        try:
            curl.perform()
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
        """Return what the last call failed with: the system's error number and the proxy's status, 0 for none."""
        return self._curl.getinfo(pycurl.OS_ERRNO), self._curl.getinfo(pycurl.HTTP_CONNECTCODE)

    def refused(self) -> str:
        """Return why the last call connected to no address of its target, empty if it was not for these rules."""
        return "" if self._opened else self._refused

    def is_closed(self) -> bool:
        """Tell whether the server closed its side; unread bytes of it, such as a TLS ticket, do not matter."""
        descriptor = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, _ENDED)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it, and let go of it: a worker collects garbage too rarely to leave a cycle to that."""
        self._curl.reset()
        self._curl.close()

    def _configure(self, head: RequestTemplate) -> None:
        curl = self._curl
        curl.reset()
        self._head, self._limit_s = None, 0.0
        curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl-thread(3): a signal would hit any thread
        curl.setopt(pycurl.URL, head.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.CUSTOMREQUEST, head.method)
        curl.setopt(pycurl.HTTPHEADER, head.headers)
        curl.setopt(pycurl.ACCEPT_ENCODING, head.accept_encoding)
        curl.setopt(pycurl.PROXY, head.proxy)
        curl.setopt(pycurl.NOPROXY, "")  # the environment's has been looked at
        curl.setopt(pycurl.TCP_KEEPALIVE, 1)
        curl.setopt(pycurl.TCP_KEEPIDLE, _PROBED_AFTER_S)
        curl.setopt(pycurl.TCP_KEEPINTVL, _PROBED_EVERY_S)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._lend)
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._take)
        _set_trust(curl, head.policy)
        self._head = head  # not before: what libcurl refused in the middle is refused again

    def _limit(self, limit_s: float, to_connect_s: float) -> None:
        self._limit_s = limit_s
        self._curl.setopt(pycurl.TIMEOUT_MS, _ms(limit_s))
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, _ms(min(limit_s, to_connect_s)))

    def _open(self, _purpose: int, to: Any) -> socket.socket | int:
        """Return a socket for one of the target's addresses, or refuse the address."""
        assert self._head is not None  # noqa: S101 — libcurl connects only within a call
        why = refusal(to.addr[0], self._head.policy, of_proxy=bool(self._head.proxy))
        if why:
            self._refused = why
            return int(pycurl.SOCKET_BAD)
        self._opened = True
        self._lent = socket.socket(to.family, to.socktype, to.protocol)
        return self._lent

    def _lend(self, descriptor: int, _purpose: int) -> int:
        """Close our end of the socket: pycurl has made a copy for libcurl, which scripts must not inherit either."""
        if self._lent:
            self._lent.close()
        os.set_inheritable(descriptor, False)
        return int(pycurl.SOCKOPT_OK)

    def _take(self, chunk: bytes) -> int:
        """Keep what still counts, and end the call where that is less than there is."""
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
        curl.setopt(pycurl.KEYPASSWD, "")  # else OpenSSL asks at the terminal


def _ms(seconds: float) -> int:
    return max(1, round(1000 * seconds))  # 0 is no limit


def _headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Return the last answer's headers, those of a name together (RFC 9110, 5.3); a proxy's and a 1xx come before."""
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
