"""The built-in `manager`: verdicts on their way into the manager's own queue socket (spec 7).

Its deliveries hold no alert but a ManagerEvent, which the pipeline wrote when a look-up was settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from common.depth import check_depth
from common.outcome import Delivered, ManagerEvent, Reason, Rejected, Retry
from workers.integrations.base import Datagram, Refusal, unanswered
from workers.integrations.events import LONGEST_DATAGRAM, datagram
from workers.integrations.markup import NONE as NO_MARKUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.alert import Alert
    from common.errors import TransportError
    from common.outcome import Outcome
    from workers.integrations.base import Sent

_decode: Final = msgspec.json.Decoder(ManagerEvent).decode


class Manager:
    """Turns an event into one datagram."""

    markup: Final = NO_MARKUP

    def calls(self, alert: Alert) -> Sequence[Datagram]:
        """Return the datagram, or refuse an event that would arrive broken."""
        try:
            check_depth(alert.raw)
            event = _decode(alert.raw)
        except ValueError:
            raise Refusal(Rejected(Reason.BAD_ALERT, "this is no event for the manager")) from None
        payload = datagram(event)
        if len(payload) > LONGEST_DATAGRAM:
            problem = f"{len(payload)} bytes, and the manager would cut it at {LONGEST_DATAGRAM}"
            raise Refusal(Rejected(Reason.TOO_LARGE, problem))
        return (Datagram(payload=payload),)

    def read(self, alert: Alert, call: Datagram, answer: Sent) -> Outcome:  # noqa: ARG002 — the shape of all
        """Take it as delivered: the socket never answers."""
        return Delivered()

    def unanswered(self, alert: Alert, call: Datagram, error: TransportError) -> Outcome:  # noqa: ARG002 — as above
        """Wait for the manager, unless the datagram itself is at fault."""
        outcome = unanswered(error)
        return Retry(Reason.MANAGER_DOWN, error.detail) if isinstance(outcome, Retry) else outcome
