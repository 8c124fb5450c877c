"""Servers for mails on this host: aiosmtpd with TLS and a log-in, and one that says what a test tells it to."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from aiosmtpd.smtp import Envelope, Session

USER, PASSWORD = "courier@example.org", "p4ss w0rd:with@signs"


class Received(NamedTuple):
    sender: str
    recipients: list[str]
    content: bytes
    is_tls: bool
    user: bytes
    peer: Any


class Mailbox:
    """A handler of aiosmtpd that keeps what it accepts; `refuse` maps a recipient to a reply."""

    def __init__(self) -> None:
        self.mails: list[Received] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name, and its arguments
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if reply := self.refuse.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 — as above
        assert isinstance(envelope.content, bytes)
        data: Any = session.auth_data
        user = data.login if data else b""
        is_tls = session.ssl is not None or (server.transport and server.transport.get_extra_info("ssl_object"))
        self.mails.append(
            Received(
                str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content, bool(is_tls), user, session.peer
            )
        )
        return "250 OK"


def _login(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    assert isinstance(data, LoginPassword)
    good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, auth_data=data if good else None, handled=False)


class _Controller(Controller):
    """A controller that closes its connections when it stops."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._made: list[SMTP] = []
        super().__init__(*arguments, **options)

    def factory(self) -> SMTP:
        self._made.append(super().factory())  # type: ignore[no-untyped-call]  # aiosmtpd has no type here
        return self._made[-1]

    def abort(self) -> None:
        for one in self._made:
            if isinstance(one.transport, asyncio.Transport):
                one.transport.abort()


@contextmanager
def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False, port: int = 0
) -> Iterator[tuple[int, Mailbox]]:
    """Yield the port and the mailbox of a server, with STARTTLS, TLS from the first byte, or neither."""
    mailbox = Mailbox()
    options: dict[str, Any] = {"authenticator": _login, "auth_required": True} if login else {}
    if starttls:
        options |= {"tls_context": starttls, "require_starttls": True}
    if tls:
        options |= {"auth_require_tls": False, "auth_required": False}  # aiosmtpd knows TLS only by STARTTLS
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    controller = _Controller(mailbox, hostname="127.0.0.1", port=port, ssl_context=tls, **options)
    controller.start()
    try:
        yield port, mailbox
    finally:
        controller.loop.call_soon_threadsafe(controller.abort)
        controller.stop()


REPLIES = {"": b"220 mail.example.org\r\n", "EHLO": b"250-x\r\n250 SIZE 10000000\r\n", "DATA": b"354 go on\r\n"}
HANG, DROP = b"hang", b"drop"


class Scripted:
    """A server that replies to each command with what `replies` says; `.` is the mail itself, '' the greeting."""

    def __init__(self, replies: Mapping[str, bytes]) -> None:
        self._replies = REPLIES | dict(replies)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(50)
        self.port = self._socket.getsockname()[1]
        self.commands: list[str] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in (*self._open, self._socket):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection.makefile("rb") as lines:
            if not self._reply(connection, ""):
                return
            in_mail = False
            for line in lines:
                if in_mail:
                    if line != b".\r\n":
                        continue
                    in_mail, word = False, "."
                else:
                    word = line.split(maxsplit=1)[0].decode()
                self.commands.append(word)
                if not self._reply(connection, word) or word == "QUIT":
                    return
                in_mail = word == "DATA" and self._replies["DATA"].startswith(b"354")

    def _reply(self, connection: socket.socket, word: str) -> bool:
        reply = self._replies.get(word, b"250 OK\r\n")
        if reply == HANG:
            return True
        if reply == DROP:
            connection.shutdown(socket.SHUT_RDWR)
            return False
        connection.sendall(reply)
        return True


@contextmanager
def scripted(replies: Mapping[str, bytes]) -> Iterator[Scripted]:
    server = Scripted(replies)
    try:
        yield server
    finally:
        server.close()
