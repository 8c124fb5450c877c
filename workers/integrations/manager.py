"""The built-in `manager`: verdicts on their way into the manager's own queue socket (spec 7).

Its deliveries hold no alert but an event, which the pipeline wrote when a look-up was settled, or a script of the
ledger. What neither of them wrote is refused (`authentic`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.outcome import Delivered, Reason, Rejected, Retry
from workers.calls import Datagram
from workers.integrations.base import NotSendable, failure_outcome
from workers.integrations.helpers.event_signer import NotAuthenticError
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES, datagram
from workers.integrations.helpers.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.calls import Sent
    from workers.integrations.helpers.event_signer import EventSigner


class Manager:
    """Turns an event into one datagram. Without a `signer`, which knows the secret key, it refuses every event."""

    markup: Final = NO_MARKUP

    def __init__(self, signer: EventSigner | None) -> None:
        self._signer = signer

    def build_calls(self, alert: Alert) -> Sequence[Datagram]:
        """Return the datagram, or refuse an event that Courier did not write or that would arrive broken."""
        if not self._signer:
            raise NotSendable(Rejected(Reason.NOT_AUTHENTIC, "there is no secret key here to check it with"))
        try:
            event = self._signer.verify(alert)
        except NotAuthenticError as error:
            raise NotSendable(Rejected(Reason.NOT_AUTHENTIC, str(error))) from None
        except ValueError:
            raise NotSendable(Rejected(Reason.INVALID_ALERT, "this is no event for the manager")) from None
        payload = datagram(event)
        if len(payload) > MAX_DATAGRAM_BYTES:
            problem = f"{len(payload)} bytes, and the manager would cut it at {MAX_DATAGRAM_BYTES}"
            raise NotSendable(Rejected(Reason.TOO_LARGE, problem))
        return (Datagram(payload=payload),)

    def interpret(self, alert: Alert, call: Datagram, answer: Sent) -> Outcome:  # noqa: ARG002 — the shape of all
        """Take it as delivered: the socket never answers."""
        return Delivered()

    def interpret_failure(self, alert: Alert, call: Datagram, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Wait for the manager, unless the datagram itself is at fault."""
        outcome = failure_outcome(error)
        return Retry(Reason.MANAGER_DOWN, error.detail) if isinstance(outcome, Retry) else outcome
