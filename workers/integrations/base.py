"""The one shape of every integration: `calls` turns an alert into calls, `read` an answer into an outcome.

Both are pure: no sleeping, retrying, locking, logging or network. The delivery pipeline makes the calls,
classifies what got no answer, retries and records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from common.outcome import Reason, Rejected, Retry, Skipped
from common.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.alert.alert import Alert

PERMANENT_ERRORS = frozenset({Reason.INVALID_URL, Reason.REDIRECT, Reason.TOO_LARGE})
"""Failures before any answer that no second try will mend. A certificate, by contrast, is renewed one day."""

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


class NotSendable(Exception):  # noqa: N818 — not an error of ours: it carries an outcome
    """Raised by `calls` when there is nothing to send; carries the outcome, Skipped or Rejected."""

    def __init__(self, outcome: Skipped | Rejected) -> None:
        self.outcome = outcome
        super().__init__(outcome.reason)


C = TypeVar("C", Request, ScriptCall, Datagram)
A_contra = TypeVar("A_contra", Response, ScriptExit, Sent, contravariant=True)


class Service(Protocol, Generic[C, A_contra]):
    """What the pipeline needs of an integration; built once per block."""

    def build_calls(self, alert: Alert) -> Sequence[C]:
        """Return the calls that this alert needs, in order; raise NotSendable when there are none."""

    def interpret(self, alert: Alert, call: C, answer: A_contra) -> Outcome:
        """Return what this answer means for the delivery."""

    def interpret_failure(self, alert: Alert, call: C, error: TransportError) -> Outcome:
        """Return what it means that no answer came."""


@runtime_checkable
class Cacheable(Protocol):
    """What a look-up service offers besides, so that nobody asks twice for what is known."""

    namespace: str
    """Names the kind of question, such as `virustotal-v2`: the same for all blocks that would get the same answers."""

    def cache_key(self, call: Any) -> str:
        """Return what the call asks, without the credential; empty if the answer is never to be remembered."""

    def cache_entry(self, call: Any, answer: Any) -> tuple[bytes, float]:
        """Return what to keep of an answer and for how many seconds; nothing and 0 of one that is no answer."""

    def from_cache(self, alert: Alert, call: Any, content: bytes) -> Outcome:
        """Return what the remembered answer means for the delivery."""


def failure_outcome(error: TransportError) -> Outcome:
    """Return the usual meaning of no answer: try again, unless no second try can mend it."""
    if error.reason in PERMANENT_ERRORS:
        return Rejected(error.reason, error.detail)
    return Retry(error.reason, error.detail)
