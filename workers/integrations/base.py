"""The one shape of every integration: `calls` turns an alert into calls, `read` an answer into an outcome.

Both are pure: no sleeping, retrying, locking, logging or network. The delivery pipeline makes the calls,
classifies what got no answer, retries and records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from common.outcome import Reason, Rejected, Retry, Skipped
from workers.calls import Datagram, Request, Response, ScriptCall, ScriptExit, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.alert.alert import Alert

PERMANENT_ERRORS = frozenset({Reason.INVALID_URL, Reason.REDIRECT, Reason.TOO_LARGE})
"""Failures before any answer that no second try will mend. A certificate, by contrast, is renewed one day."""


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
