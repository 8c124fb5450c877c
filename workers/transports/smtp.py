"""Sends mails by SMTP. Each call is a thread of its own, and keeps its connection for the next mails.

libcurl's SMTP blocks while the server decides about a mail, and when it closes a connection. On the event loop a slow
server would delay all integrations, so mails do not use `http/multi.py` (decision 11). A server that hangs costs a
thread until the time limit of the whole mail.

Certificates, the proxy and the address guard are those of HTTP calls. A proxy must allow CONNECT to the server's port;
variables such as HTTPS_PROXY do not apply.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pycurl

from common.errors import TransportError
from common.outcome import Reason
from workers.calls import CONTENT, MailReply
from workers.transports.http.addresses import refusal_behind_proxy
from workers.transports.http.failures import failure, where
from workers.transports.http.handle import Handle
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from common.settings.schema import Policy
    from workers.calls import Mail, MailServer

CLOSE_AFTER_S: Final = 10.0
"""All connections are closed after this time without a mail; servers wait for 5 minutes (RFC 5321, 4.5.3.2.7)."""

MAX_IDLE_S: Final = 30
"""A connection that was not used for this time is not used again."""

MECHANISMS: Final = "AUTH=PLAIN;AUTH=LOGIN"
"""Ways to log in. With Kerberos, libcurl could wait for another server; the others send no more than these over TLS."""

MAX_REPLY_BYTES: Final = 65_536
"""All replies to one mail together have about 1 KiB. A server that sends more is not one for mails."""

_COMMANDS: Final = frozenset({"EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA"})

_REFUSED: Final = frozenset(
    {
        pycurl.E_FTP_WEIRD_SERVER_REPLY,  # the greeting, or the reply to the mail itself
        pycurl.E_REMOTE_ACCESS_DENIED,  # EHLO and HELO
        pycurl.E_USE_SSL_FAILED,  # STARTTLS
        pycurl.E_LOGIN_DENIED,  # AUTH
        pycurl.E_SEND_ERROR,  # MAIL, RCPT, DATA
    }
)
"""Errors that mean that the server refused something (lib/smtp.c); its last reply says what."""

_ERROR: Final = 400
"""Codes from here on are negative (RFC 5321, 4.2.1)."""


class SmtpTransport:
    """Sends the mails of one integration, any number at once."""

    def __init__(self, policy: Policy, close_after_s: float = CLOSE_AFTER_S) -> None:
        self._connections = MailConnections(policy)
        self._threads = InThreads(self._connections)
        self._close_after_s = close_after_s
        self._closing: asyncio.TimerHandle | None = None

    async def send(self, call: Mail) -> MailReply:
        """Send the mail; return the reply that accepted or refused it. Raises TransportError if there was none."""
        try:
            reply: MailReply = await self._threads.send(call)
            return reply
        finally:
            if self._closing:
                self._closing.cancel()
            self._closing = asyncio.get_running_loop().call_later(self._close_after_s, self._close)

    def _close(self) -> None:
        with suppress(RuntimeError):  # no thread to be had: the server closes them
            threading.Thread(target=self._connections.close, name="close", daemon=True).start()


class MailConnections:
    """The connections of one integration. `send` blocks, and may be called from any thread."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._idle: deque[SmtpHandle] = deque()  # its methods are atomic

    def send(self, call: Mail) -> MailReply:
        """Send the mail; return the reply that accepted or refused it. Raises TransportError if there was none."""
        policy, place = self._policy, where(call.server.url)
        proxy = policy.proxy.reveal() if policy.proxy else ""
        if proxy and (why := refusal_behind_proxy(place.rpartition(":")[0].strip("[]"), policy)):
            raise TransportError(Reason.NOT_CONFIGURED, f"no connection to {place}: {why}")
        handle = self._take() or SmtpHandle()
        try:
            return handle.send(call, policy, proxy)
        except pycurl.error as error:
            raise self._failure(error, handle, place) from None
        except Exception as error:  # noqa: BLE001 — the text of the error could quote a secret
            raise TransportError(Reason.INTERNAL, f"{type(error).__name__} while sending to {place}") from None
        finally:
            self._idle.append(handle)

    def close(self) -> None:
        """Close the connections that no mail uses now. Blocks, at most seconds, until the servers reply to QUIT."""
        while handle := self._take():
            handle.close()

    def _take(self) -> SmtpHandle | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _failure(self, error: pycurl.error, handle: SmtpHandle, place: str) -> TransportError:
        match error.args[0]:
            case pycurl.E_USE_SSL_FAILED:
                why = "does not offer STARTTLS; if it expects TLS from the first byte, write smtps:// in hook_url"
                return TransportError(Reason.TLS, f"{place} {why}")
            case pycurl.E_LOGIN_DENIED:
                return TransportError(Reason.UNAUTHORIZED, f"{place} offers neither AUTH PLAIN nor AUTH LOGIN")
            case _:
                return failure(error, handle, self._policy, place, self._policy.request_timeout_s, protocol="SMTP")


class SmtpHandle(Handle):
    """Sends one mail after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._server: MailServer | None = None
        self._lines: list[bytes] = []
        self._received, self._command = 0, ""

    def send(self, mail: Mail, policy: Policy, proxy: str) -> MailReply:
        """Return the last reply of the server. Raises pycurl.error if it is neither an acceptance nor a refusal."""
        if mail.server != self._server:
            self._configure(mail.server, policy, proxy)
        self._begin(policy.request_timeout_s)
        curl = self._curl
        curl.setopt(pycurl.MAIL_FROM, f"<{mail.sender}>")
        curl.setopt(pycurl.MAIL_RCPT, [f"<{mail.recipient}>"])
        curl.setopt(pycurl.INFILESIZE, len(mail.message))
        try:
            self._perform(mail.message)
        except pycurl.error as error:
            reply = self._reply()
            if error.args[0] not in _REFUSED or reply.status < _ERROR:
                raise
            return reply
        return self._reply()

    def _perform(self, message: bytes) -> None:
        """Send the mail; over a new connection if the server has closed the idle one, which began with MAIL."""
        for is_last in (False, True):
            self._curl.setopt(pycurl.READFUNCTION, io.BytesIO(message).read)
            self._lines.clear()
            self._received, self._command = 0, ""
            try:
                self._curl.perform()
            except pycurl.error as error:
                was_closed = self._command == "MAIL" and not self._lines
                if is_last or not was_closed or error.args[0] == pycurl.E_OPERATION_TIMEDOUT:
                    raise
            else:
                return

    def _configure(self, server: MailServer, policy: Policy, proxy: str) -> None:
        curl = self._curl
        self._server = None
        self._connect_as(policy, proxy, MAX_IDLE_S)
        curl.setopt(pycurl.URL, server.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_SMTP | pycurl.PROTO_SMTPS)
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL if server.starttls else pycurl.USESSL_NONE)
        if server.user:
            curl.setopt(pycurl.USERNAME, server.user.encode())
            curl.setopt(pycurl.PASSWORD, server.password.reveal().encode() if server.password else b"")
            curl.setopt(pycurl.LOGIN_OPTIONS, MECHANISMS)
        curl.setopt(pycurl.HEADERFUNCTION, self._keep)
        curl.setopt(pycurl.VERBOSE, 1)  # calls DEBUGFUNCTION; nothing is printed
        curl.setopt(pycurl.DEBUGFUNCTION, self._note_command)
        self._server = server  # set last: if an option above is refused, the next call configures everything again

    def _keep(self, line: bytes) -> int:
        """Keep a line of the server's. Returning another length makes libcurl end the call."""
        self._received += len(line)
        if self._received > MAX_REPLY_BYTES:
            return 0
        self._lines.append(line)
        return len(line)

    def _note_command(self, kind: int, data: Any) -> None:
        """Remember the last command, from which the meaning of a reply follows. Other data may hold the password."""
        if kind == pycurl.INFOTYPE_HEADER_OUT:
            word = bytes(data[:8]).split(maxsplit=1)[0].decode("ascii", "replace") if bytes(data[:8]).strip() else ""
            self._command = word if word in _COMMANDS else self._command
        elif kind == pycurl.INFOTYPE_DATA_OUT:
            self._command = CONTENT

    def _reply(self) -> MailReply:
        """Return the last reply, all of its lines joined; code 0 if there was none."""
        lines = [line.rstrip() for line in self._lines]
        code = int(lines[-1][:3]) if lines and lines[-1][:3].isdigit() else 0
        text: list[bytes] = []
        for line in reversed(lines):
            if line[:3] != lines[-1][:3] or (text and line[3:4] != b"-"):
                break
            text.insert(0, line[4:])
        return MailReply(status=code, body=b"\n".join(text), command=self._command)
