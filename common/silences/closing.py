"""The closing message: one alert that says what a silence kept from an integration."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from common.printable import printable
from common.timestamps import time_text

if TYPE_CHECKING:
    from common.silences.model import Silence
    from common.silences.store import SilenceCounts

LEVEL: Final = 3
"""The level of the message: information, as Wazuh uses it."""

TOP_RULES: Final = 5


class ClosingMessage(NamedTuple):
    """The id of the delivery, the same whoever makes it, and the alert.

    The id has the number: if Redis forgets a message, a late success of it must not end the next one, which may say
    another number.
    """

    delivery_id: str
    alert: bytes


def closing_message(silence: Silence, integration_id: str, counts: SilenceCounts, node: str) -> ClosingMessage:
    """Return the message in the form of a Wazuh 4.x alert, with all that programs need under `courier.silence`."""
    rules = dict(islice(counts.rules.items(), TOP_RULES))
    top = ", ".join(f"rule {rule or 'without id'}: {number}" for rule, number in rules.items())
    more = "" if len(counts.rules) <= TOP_RULES else ", …"
    alerts = "1 alert" if counts.number == 1 else f"{counts.number} alerts"
    text = f"Courier: silence {silence.id} has ended; {alerts} not sent ({top}{more}). Reason: {printable(silence.why)}"
    name = f"silence-{silence.id}"
    ended = datetime.fromtimestamp(silence.end_ms / 1000, UTC)
    alert = {
        "timestamp": ended.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ended.microsecond // 1000:03}+0000",
        "rule": {"level": LEVEL, "id": name, "description": text, "groups": ["courier", "courier_silence"]},
        "agent": {"id": "000", "name": node},
        "manager": {"name": node},
        "id": name,
        "full_log": text,
        "decoder": {"name": "courier"},
        "location": "courier",
        "courier": {
            "silence": {
                "id": silence.id,
                "integration": integration_id,
                "count": counts.number,
                "rules": rules,
                "start": time_text(silence.start_ms),
                "end": time_text(silence.end_ms),
                "first": time_text(counts.first_ms),
                "last": time_text(counts.last_ms),
                "why": printable(silence.why),
                "author": printable(silence.author),
            }
        },
    }
    return ClosingMessage(f"courier:{name}:{counts.number}", msgspec.json.encode(alert))
