"""The calls that service modules build, and the responses that transports return.

Service modules and transports both import these types, and never each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from common.secret import Secret

MAX_BODY_BYTES = 65_536
"""Read limit for a response of which only the status counts; the services' own responses have less than 1 KiB."""

MAX_REPORT_BYTES = 1024 * 1024
"""Read limit for the report of a look-up; a report with many engines or feeds has about 100 KiB."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. Each of its parts may contain secrets, so its `repr` omits them.

    `key` names the look-up within its delivery (`ip`, `md5`), so that a retry repeats only what failed.
    `timeout_s` is the integration's own time limit, for services whose stock script lets the user set it. The transport
    reads at most `max_body_bytes` of the response; a service that only checks the status needs little of it.
    `is_once` keeps the transport from sending the request twice on its own, for a target that cannot recognise it.
    `varying` are the names of headers and parameters that differ from alert to alert, such as an id. The transport
    caches a request without them, since to prepare one costs more than all the rest of a delivery.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    params: Mapping[str, str] = {}
    key: str = ""
    timeout_s: float | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    is_once: bool = False
    varying: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Request({self.method}, key={self.key!r})"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP response. `body` has at most the request's `max_body_bytes`; the names in `headers` are lower case.

    The status is final, never 1xx. `broken` says why the rest of the response could not be read; it is empty if all of
    it was read. `is_cut` is true if the body was longer than `body`.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    broken: str = ""
    is_cut: bool = False


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server for mails. `url` is `smtp://HOST:PORT`, or `smtps://HOST:PORT` for TLS from the first byte.

    With `starttls`, nothing is sent before STARTTLS has succeeded. Without a `user` there is no log-in.
    """

    url: str
    starttls: bool = True
    user: str = ""
    password: Secret | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one recipient. The addresses are ASCII without `<>`; `message` has CRLF line ends.

    `key` names the recipient within the delivery, so that a retry repeats only what failed.
    """

    server: MailServer
    sender: str
    recipient: str
    message: bytes
    key: str = ""

    def __repr__(self) -> str:
        return f"Mail(key={self.key!r})"


class MailReply(Response, frozen=True, kw_only=True):
    """The last reply of a server for mails: its code as `status`, its text as `body`.

    `command` is what it replies to: `EHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, or CONTENT for the mail itself;
    empty for the greeting of the server. A code from 200 to 299 means that the server has accepted the mail.
    """

    command: str = ""


CONTENT = "content"


class AppriseCall(msgspec.Struct, frozen=True, kw_only=True):
    """One message by Apprise. `format` is text, markdown or html; `kind` is info, warning or failure."""

    url: Secret
    title: str
    body: str
    format: str
    kind: str
    key: str = ""

    def __repr__(self) -> str:
        return f"AppriseCall({self.format})"


class AppriseReply(Response, frozen=True, kw_only=True):
    """The response that counts of those that a plugin got. `is_refused`: its body says no, whatever the status."""

    is_refused: bool = False


class ScriptCall(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a custom script: its file name, the contents of its private files and its arguments (spec 4.3)."""

    name: str
    alert_file: bytes
    options_file: bytes | None
    api_key: Secret | None
    hook_url: Secret | None
    timeout_s: int
    retries: int
    key: str = ""


class ScriptExit(msgspec.Struct, frozen=True, kw_only=True):
    """The exit of a script: `status` as a shell reports it (128 + signal), `output` the end of its output."""

    status: int
    output: str = ""


class Datagram(msgspec.Struct, frozen=True, kw_only=True):
    """One message for the manager's queue socket (spec 7)."""

    payload: bytes
    key: str = ""


class SyslogFrames(msgspec.Struct, frozen=True, kw_only=True):
    """One or more syslog messages as they are written to a connection, each with its length in front (RFC 6587)."""

    address: str
    is_tls: bool
    body: bytes
    key: str = ""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent was accepted: by the manager's socket, or by the collector's kernel. Neither sends a response."""


class Transport(Protocol):
    """Makes calls of one kind on the event loop, any number at once."""

    async def send(self, call: Any) -> Any:
        """Make one call and return its response. Raises TransportError if no response arrives."""
