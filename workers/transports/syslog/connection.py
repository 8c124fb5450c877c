"""One connection to a syslog collector, TCP or TLS. Its methods block."""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from common.errors import TransportError
from common.outcome import Reason
from common.services.syslog import split_address
from workers.transports.http.addresses import refusal
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from common.settings.schema import Policy
    from workers.calls import SyslogFrames

SIOCOUTQ: Final = termios.TIOCOUTQ
"""Asks for the bytes that the peer's kernel has not acknowledged yet (tcp(7)). Linux gives both names one number."""

FIRST_CHECK_S: Final = 0.001
LONGEST_CHECK_S: Final = 0.01
"""Pauses between two questions. A kernel may delay an acknowledgement by 40 ms."""

KEEPALIVE_S: Final = 15
"""Seconds after which the kernel asks an idle peer whether it is still there, and then asks again."""

MAX_IGNORED_BYTES: Final = 65_536


class Connection:
    """A connection, open after `open`. Its methods raise OSError where it fails."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._socket = policy, socket.socket()

    def open(self, call: SyslogFrames, until: float) -> None:
        """Connect until the monotonic time `until`. Raises TransportError, too."""
        host, port = split_address(call.address)
        context = _context(self._policy) if call.is_tls else None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise TransportError(Reason.CONNECTION_FAILED, f"{call.address} is not a valid name") from None
        refused, last = "", OSError("the name has no address")
        for family, _, _, _, address in found:
            if why := refusal(str(address[0]), self._policy):
                refused = why
                continue
            try:
                return self._open(family, address, host, context, until)
            except ssl.SSLError as error:
                words = getattr(error, "verify_message", "") or error.reason or "the handshake failed"
                detail = f"{call.address} is not trusted, or does not speak TLS: {words}"
                raise TransportError(Reason.TLS, detail) from None
            except OSError as error:
                last = error
        if refused:
            raise TransportError(Reason.NOT_CONFIGURED, f"no connection to {call.address}: {refused}")
        raise last

    def _open(self, family: int, address: Any, host: str, context: ssl.SSLContext | None, until: float) -> None:
        self._socket.close()
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            self._socket.setsockopt(socket.IPPROTO_TCP, option, KEEPALIVE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(_left_s(until))
        self._socket.connect(address)
        if context:
            # `abort` must find the socket during the handshake.
            secured = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
            self._socket = secured
            secured.settimeout(_left_s(until))
            secured.do_handshake()

    def is_open(self) -> bool:
        """Return whether the peer has neither closed nor half-closed the connection. What it sends is ignored."""
        self._socket.settimeout(0)
        read = 0
        while read < MAX_IGNORED_BYTES:
            try:
                received = self._socket.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except OSError:
                return False
            if not received:
                return False
            read += len(received)
        return False  # it sends without end

    def send(self, body: bytes, until: float) -> None:
        """Send everything, and wait until the peer's kernel has acknowledged it. Raises TimeoutError, too."""
        self._socket.settimeout(_left_s(until))
        self._socket.sendall(body)
        pause_s = FIRST_CHECK_S
        closed = select.poll()
        closed.register(self._socket, select.POLLRDHUP)  # also ends if it was reset
        while self._unacknowledged():
            if closed.poll(1000 * min(pause_s, _left_s(until))):
                break
            pause_s = min(2 * pause_s, LONGEST_CHECK_S)
        if not self.is_open():
            raise ConnectionResetError("it closed the connection")

    def _unacknowledged(self) -> int:
        (number,) = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), SIOCOUTQ, bytes(4)))
        return int(number)

    def abort(self) -> None:
        """End what another thread does with the connection."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _left_s(until: float) -> float:
    """Return the seconds that are left. Raises TimeoutError if there are none."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _context(policy: Policy) -> ssl.SSLContext:
    """Return the settings of TLS. Files are read for each connection: a new certificate needs no restart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not policy.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        store = trust_store_of(policy)
        for part in store.parts:
            try:
                context.load_verify_locations(**{"capath" if part.is_dir() else "cafile": str(part)})
            except OSError as error:  # SSLError is one
                raise _unusable(store.name, part, error) from None
    if policy.client_cert:
        try:
            context.load_cert_chain(policy.client_cert, policy.client_key)
        except OSError as error:
            raise _unusable("client_cert", policy.client_cert, error) from None
    return context


def _unusable(setting: str, file: object, error: OSError) -> TransportError:
    words = "not a PEM file" if isinstance(error, ssl.SSLError) else error.strerror or "it cannot be read"
    return TransportError(Reason.NOT_CONFIGURED, f"{setting} {file} cannot be used: {words}")
