"""The demo's servers that do not use HTTP: one for mails, one for syslog messages. Both hand on what they receive."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BUFFER_BYTES: Final = 2 * 1024 * 1024
"""Bytes of an incomplete syslog message; Courier's own limit of a message is 1 MiB."""


def listen(port: int = 0) -> socket.socket:
    """Return a listening socket of this machine, on a free port unless one is given. Raises OSError."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    listener.setblocking(False)
    return listener


def mail_protocol(
    loop: asyncio.AbstractEventLoop, receive: Callable[[bytes], object]
) -> Callable[[], asyncio.BaseProtocol]:
    """Return what serves one connection by SMTP. `receive` gets the content of each mail."""
    from aiosmtpd.smtp import SMTP, Envelope, Session  # noqa: PLC0415 — a package of the checkout, not of the wheel

    class Mailbox:
        """A handler of aiosmtpd that takes every mail."""

        async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 — aiosmtpd's name
            """Hand on one mail."""
            content = envelope.content or b""
            receive(content if isinstance(content, bytes) else content.encode())
            return "250 OK"

    return lambda: SMTP(Mailbox(), loop=loop, hostname="demo.example.org")


def syslog_protocol(receive: Callable[[bytes], object]) -> Callable[[], asyncio.BaseProtocol]:
    """Return what reads one connection of messages with their length in front (RFC 6587, 3.4.1)."""
    return lambda: _Frames(receive)


class _Frames(asyncio.Protocol):
    """Splits the bytes of one connection into messages; closes it if they are none."""

    def __init__(self, receive: Callable[[bytes], object]) -> None:
        self._receive, self._left = receive, b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on each message that is complete."""
        self._left += data
        while (end := self._left.find(b" ")) >= 0:
            if not self._left[:end].isdigit() or end > len(str(MAX_BUFFER_BYTES)):
                break
            length = int(self._left[:end])
            if len(self._left) <= end + length:
                if length > MAX_BUFFER_BYTES:
                    break
                return
            message, self._left = self._left[end + 1 : end + 1 + length], self._left[end + 1 + length :]
            self._receive(message)
        if self._left:
            self._transport.abort()
