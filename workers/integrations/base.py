"""The interface of every integration: `build_calls` turns an alert into calls, `interpret` a response into an outcome.

Both are pure: they do not sleep, retry, lock, log or use the network. The delivery pipeline makes the calls, retries
them and records the outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from common.outcome import Reason, Rejected, Retry, Skipped
from workers.calls import (
    AppriseCall,
    Datagram,
    Mail,
    MailReply,
    Request,
    Response,
    ScriptCall,
    ScriptExit,
    Sent,
    SyslogFrames,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.alert.alert import Alert

PERMANENT_ERRORS = frozenset({Reason.INVALID_URL, Reason.REDIRECT, Reason.TOO_LARGE})
"""Failures without a response that a retry cannot fix. TLS is not one of them: a certificate can be renewed."""


class NotSendable(Exception):  # noqa: N818 — not an error of ours: it carries an outcome
    """Raised by `build_calls` if there is nothing to send; `outcome` says why."""

    def __init__(self, outcome: Skipped | Rejected) -> None:
        self.outcome = outcome
        super().__init__(outcome.reason)


C = TypeVar("C", Request, ScriptCall, Datagram, Mail, SyslogFrames, AppriseCall)
A_contra = TypeVar("A_contra", Response, ScriptExit, Sent, MailReply, contravariant=True)


class Service(Protocol, Generic[C, A_contra]):
    """What the pipeline calls of an integration. There is one instance for each <integration> block."""

    def build_calls(self, alert: Alert) -> Sequence[C]:
        """Return the calls that this alert needs, in order. Raises NotSendable if it needs none."""

    def interpret(self, alert: Alert, call: C, response: A_contra) -> Outcome:
        """Return what this response means for the delivery."""

    def interpret_failure(self, alert: Alert, call: C, error: TransportError) -> Outcome:
        """Return what the lack of a response means for the delivery."""


@runtime_checkable
class Cacheable(Protocol):
    """What a look-up service has in addition, so that its responses can be cached."""

    namespace: str
    """Names the kind of look-up, such as `virustotal-v2`. Blocks that would get the same responses share it."""

    def cache_key(self, call: Any) -> str:
        """Return what the call looks up, without the credential; empty if the response must not be cached."""

    def cache_entry(self, call: Any, response: Any) -> tuple[bytes, float]:
        """Return what to cache of a response and for how many seconds; nothing and 0 if it must not be cached."""

    def from_cache(self, alert: Alert, call: Any, content: bytes) -> Outcome:
        """Return what the cached content means for the delivery."""


@runtime_checkable
class Deciding(Protocol):
    """What a service has in addition whose first response decides about the next call, such as a search.

    `build_calls` then returns the calls of the usual case, a search that finds nothing. The pipeline makes no call
    after one that was not delivered. Such calls have no `key`: a retry searches again, and so finds what an earlier
    attempt has created.
    """

    def next_calls(self, alert: Alert, call: Any, response: Any, planned: Sequence[Any]) -> Sequence[Any]:
        """Return the calls to make after a call that was delivered, in place of the `planned` ones."""


@runtime_checkable
class Batching(Service[Any, Any], Protocol):
    """What a service has in addition whose target takes several alerts in one call (`workers/delivery/batches.py`).

    Each alert needs exactly one call, which has a `body`. A response means the same for all alerts of its call.
    """

    batch: int
    """Most alerts in one call, 1 for none but single ones."""

    max_batch_bytes: int
    """Most bytes of the bodies in one call, unless a single one has more."""

    def join(self, calls: Sequence[Any]) -> Any:
        """Return one call instead of several. One call is returned as it is."""

    def culprit(self, response: Any) -> int | None:
        """Return the place of the alert for which the whole call was rejected, from 0; None if it is not known."""


def failure_outcome(error: TransportError) -> Outcome:
    """Return the usual outcome if there is no response: retry, unless the error is in PERMANENT_ERRORS."""
    if error.reason in PERMANENT_ERRORS:
        return Rejected(error.reason, error.detail)
    return Retry(error.reason, error.detail)
