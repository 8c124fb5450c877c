"""What passes between service modules and transports: calls and what comes back.

Both sides know these and not each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from common.secret import Secret

MAX_BODY_BYTES = 65_536
"""So much of an answer is read where only its status counts; the services' own have less than 1 KiB."""

MAX_REPORT_BYTES = 1024 * 1024
"""So much is read of a look-up's report, which has some 100 KiB where many engines or feeds know a thing."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request. Its parts may hold secrets, so its `repr` shows none of them.

    `key` names the look-up within its delivery (`ip`, `md5`), so that a retry repeats only what failed.
    `timeout_s` is the integration's own time limit where the stock script lets the user set it. `max_body_bytes` is how
    much of the answer is read: a service that goes by the status needs no more than people want to see.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    params: Mapping[str, str] = {}
    key: str = ""
    timeout_s: float | None = None
    max_body_bytes: int = MAX_BODY_BYTES

    def __repr__(self) -> str:
        return f"Request({self.method}, key={self.key!r})"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: `body` is at most the transport's limit, `headers` have lower-case names.

    The status is final. `broken` says why the rest of the answer could not be read whole, empty if it was. `is_cut`
    says that there was more of the body than this.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    broken: str = ""
    is_cut: bool = False


class ScriptCall(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a custom script: its file, the contents of the private files and the arguments (spec 4.3)."""

    name: str
    alert_file: bytes
    options_file: bytes | None
    api_key: Secret | None
    hook_url: Secret | None
    timeout_s: int
    retries: int
    key: str = ""


class ScriptExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a script ended: `status` as a shell would say it (128 + signal), `output` its last bytes."""

    status: int
    output: str = ""


class Datagram(msgspec.Struct, frozen=True, kw_only=True):
    """One message for the manager's queue socket (spec 7)."""

    payload: bytes
    key: str = ""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The manager's socket took the datagram; it never answers."""


class Transport(Protocol):
    """Makes one call; raises TransportError if no response came."""

    def send(self, call: Any) -> Any:
        """Make the call and return the response that the service module interprets."""
