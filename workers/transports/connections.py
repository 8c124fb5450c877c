"""Kept-alive connections that keep to the thread's deadline: when connecting, when sending and with each byte read.

urllib3 looks whether an idle connection was closed by the other side before it is used again. Keep-alive probes make
the kernel notice those that a firewall forgot in silence.
"""

from __future__ import annotations

import io
import socket
import ssl
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import connection as addresses

from workers.transports.deadline import left_s

if TYPE_CHECKING:
    from requests import PreparedRequest
    from urllib3 import ProxyManager

POOLED_HOSTS: Final = 10
"""Hosts of one integration whose connections are kept; there is usually one."""

_SENT_AT_ONCE_BYTES: Final = 65_536
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""Probes after 30 s, under the shortest idle limits of common firewalls; 30 s later a dead connection is known."""

_NEAR: Final = 0.01
"""A time limit that differs by no more than this part from the one that a socket has is not set."""


def _is_near(limit_s: float | None, held_s: float | None) -> bool:
    return limit_s is not None and held_s is not None and abs(limit_s - held_s) <= _NEAR * limit_s


class _Socket(socket.socket):
    """Sets its time limit only where that changes it: else four times a call, each a system call without the GIL.

    Another thread of the worker takes the GIL then, and this one waits for it: a fifth of all switches of threads.
    """

    def settimeout(self, value: float | None, /) -> None:
        if not _is_near(value, self.gettimeout()):
            super().settimeout(value)


class _TlsSocket(ssl.SSLSocket):
    """The same with TLS."""

    def settimeout(self, value: float | None, /) -> None:
        if not _is_near(value, self.gettimeout()):
            super().settimeout(value)


class _Reader(io.RawIOBase):
    """A socket's bytes, each read within the time that is left."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._sock.settimeout(left_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Response(HTTPResponse):
    """An answer whose status line, headers and body come through such a reader."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    """Connects and sends within the time that is left."""

    response_class = _Response
    _held: bytearray | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request's head and body together: apart they cost two system calls, 8 % of a delivery's CPU."""
        if self.sock is not None:
            self.timeout = left_s()  # else urllib3 sets that of a new connection first
        self._held = bytearray()
        try:
            super().request(*args, **kwargs)
            together = self._held
        finally:
            self._held = None
        self.send(together)

    def _new_conn(self) -> socket.socket:
        """Try the host's addresses in turn while there is time; each has the time of one connection at most."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, addresses.allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        problem: OSError = OSError("the host has no address")
        for family, kind, protocol, _, address in found:
            try:
                return self._connect_to(_Socket(family, kind, protocol), address)
            except OSError as error:
                problem = error
        if isinstance(problem, TimeoutError):
            raise ConnectTimeoutError(self, "no address answered") from problem
        raise NewConnectionError(self, "no address could be connected") from problem

    def _connect_to(self, sock: socket.socket, address: Any) -> socket.socket:
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(left_s(self.timeout))
            sock.connect(address)
            sock.settimeout(left_s(self.timeout))  # for the TLS handshake
        except BaseException:
            sock.close()
            raise
        return sock

    def send(self, data: Any) -> None:
        """Send bytes in pieces: TLS starts the socket's own time limit anew with each of its records."""
        if self._held is not None:
            self._held += data
            return
        view = memoryview(data)
        for start in range(0, len(view), _SENT_AT_ONCE_BYTES):
            if self.sock is not None:
                self.sock.settimeout(left_s())
            super().send(view[start : start + _SENT_AT_ONCE_BYTES])


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """Such connections for `requests`, at most `concurrency` a host, with one TLS context for all of them.

    What `requests` derives from `verify` and `cert` is left out: it would read the certificates with each connection.
    """

    def __init__(self, concurrency: int, context: ssl.SSLContext) -> None:
        options = HTTPConnection.default_socket_options + _KEEPALIVE
        context.sslsocket_class = _TlsSocket
        self._common: dict[str, Any] = {"ssl_context": context, "socket_options": options}
        super().__init__(pool_connections=POOLED_HOSTS, pool_maxsize=concurrency, max_retries=0, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:  # noqa: D102 — as in requests
        super().init_poolmanager(connections, maxsize, block=block, **more, **self._common)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **more: Any) -> ProxyManager:  # noqa: D102 — as in requests
        manager: ProxyManager = super().proxy_manager_for(proxy, **more, **self._common)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:  # noqa: D102 — as above
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {}

    def cert_verify(self, *_: Any) -> None:
        """Leave the pool as it is: its context says what is trusted."""
