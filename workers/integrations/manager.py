"""The built-in `manager`: sends events, such as verdicts, to the manager's queue socket (spec 7).

Its deliveries contain an event instead of an alert. The pipeline writes the event when it settles a look-up, or a
script of the ledger writes it. Manager rejects events of any other origin (`helpers/event_signer.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.outcome import Delivered, Reason, Rejected, Retry
from workers.calls import Datagram
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers.event_signer import NotAuthenticError
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES, datagram
from workers.message.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Sent
    from workers.integrations.helpers.event_signer import EventSigner


class Manager:
    """Turns an event into one datagram. Without a `signer`, which has the secret key, it rejects every event."""

    markup: Final = NO_MARKUP

    def __init__(self, signer: EventSigner | None) -> None:
        self._signer = signer

    def build_calls(self, alert: Alert) -> Sequence[Datagram]:
        """Return the datagram. Raises NotSendable if the event is forged or the manager would truncate it."""
        if not self._signer:
            raise NotSendable(Rejected(Reason.NOT_AUTHENTIC, "this worker has no secret key to verify the event with"))
        try:
            event = self._signer.verify(alert)
        except NotAuthenticError as error:
            raise NotSendable(Rejected(Reason.NOT_AUTHENTIC, str(error))) from None
        except ValueError:
            raise NotSendable(Rejected(Reason.INVALID_ALERT, "not an event for the manager")) from None
        payload = datagram(event)
        if len(payload) > MAX_DATAGRAM_BYTES:
            problem = f"{len(payload)} bytes; the manager would truncate it at {MAX_DATAGRAM_BYTES}"
            raise NotSendable(Rejected(Reason.TOO_LARGE, problem))
        return (Datagram(payload=payload),)

    def interpret(self, alert: Alert, call: Datagram, response: Sent) -> Outcome:  # noqa: ARG002 — the shape of all
        """Return Delivered: the manager sends no response."""
        return Delivered()

    def interpret_failure(self, alert: Alert, call: Datagram, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Retry until the manager is back, unless the datagram itself is at fault."""
        outcome = failure_outcome(error)
        return Retry(Reason.MANAGER_DOWN, error.detail) if isinstance(outcome, Retry) else outcome
