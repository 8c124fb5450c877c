"""One log line for each attempt, with what identifies it: integration, delivery and alert.

A failed attempt is logged as a warning, a dead letter as an error, everything else at level debug, or at level info
with `log.deliveries = "all"`. A line that is not written costs nothing: the alert is decoded for the others only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from common.ledger import SettleOutcome
from common.logs import DeliveryLog

if TYPE_CHECKING:
    from common.ledger import Delivery, Settlement

MAX_ALERT_ID_CHARS: Final = 64
"""The manager's ids have about 17 characters; an alert can contain any text."""

_LEVELS: Final = {SettleOutcome.RETRY: logging.WARNING, SettleOutcome.DEAD: logging.ERROR}

_log = logging.getLogger("courier.delivery")


class _Alert(msgspec.Struct):
    id: str = ""


_decode: Final = msgspec.json.Decoder(_Alert).decode


class AttemptLog:
    """Logs the attempts of a worker."""

    def __init__(self, which: DeliveryLog = DeliveryLog.FAILED) -> None:
        self._level = logging.INFO if which is DeliveryLog.ALL else logging.DEBUG

    def record(self, integration_id: str, delivery: Delivery, settlement: Settlement, duration_s: float) -> None:
        """Log one attempt, which took `duration_s` with all its calls."""
        level = _LEVELS.get(settlement.outcome, self._level)
        if not _log.isEnabledFor(level):
            return
        header = settlement.header or delivery.header
        fields: dict[str, object] = {
            "event": "delivery",
            "integration": integration_id,
            "delivery": delivery.id,
            "alert": alert_id(delivery.alert),
            "outcome": settlement.outcome.value,
            "reason": settlement.reason,
            "status": settlement.status,
            "duration_ms": round(1000 * duration_s),
            "attempts": header.attempts if settlement.failed else header.attempts + 1,
        }
        if settlement.failed:
            fields["delay_ms"] = settlement.delay_ms
            _log.log(level, "%s: %s", settlement.outcome.value, describe_failure(settlement), extra=fields)
        else:
            _log.log(level, settlement.outcome.value, extra=fields)


def describe_failure(settlement: Settlement) -> str:
    """Return the reason of a failed attempt and its description as one text."""
    assert settlement.header is not None  # noqa: S101 — a failed settlement has one
    attempt = settlement.header.history[-1]
    return f"{attempt.reason}: {attempt.detail}" if attempt.detail else str(attempt.reason)


def alert_id(alert: bytes) -> str:
    """Return the id of an alert, '' if it has none or is not strict JSON."""
    try:
        return _decode(alert).id[:MAX_ALERT_ID_CHARS]
    except (ValueError, RecursionError):  # msgspec checks the depth itself
        return ""
