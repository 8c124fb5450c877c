"""The history of an integration: one entry for each delivery that ended, in a bounded Redis stream.

An entry has four fields: `id` (the delivery), `outcome`, `reason` and `facts`, a JSON array in the order of the struct
`Facts`. Redis stores the names of the fields once per block of a stream, and the position of an entry is the time at
which it was added, so the delivery's end is not stored again. An entry takes 200 to 250 bytes.

`history` in prelude.lua adds an entry; the docstring of this package says which scripts call it. Whoever may write to
Redis may write entries, so this module validates them strictly: a malformed one is reported and hides no other.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from common.ledger.record import MAX_ID_CHARS, NonNegative, id_text

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FACTS_BYTES: Final = 4096
"""Maximum size of `facts`. Courier's own have up to about 500 bytes."""

_OUTCOME: Final = re.compile(r"[a-z_]{1,32}")
_POSITION: Final = re.compile(r"([0-9]{1,14})-[0-9]{1,20}")


class HistoryOutcome(StrEnum):
    """What became of a delivery: the outcomes that this version writes. A newer version may write others."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    DEAD = "dead"
    DISCARDED = "discarded"
    """An operator deleted the dead letter."""
    EXPIRED = "expired"
    """The dead letter was deleted because of `dead_max_age` or `dead_max_bytes`."""
    MOVED = "moved"
    """An operator moved the dead letter to another integration, which `reason` names."""


ALERT_ID_CHARS: Final = 64
RULE_ID_CHARS: Final = 32
DESCRIPTION_CHARS: Final = 100
AGENT_ID_CHARS: Final = 32
AGENT_NAME_CHARS: Final = 64
WORKER_CHARS: Final = 80
MAX_LEVEL: Final = 1000
"""Wazuh's levels end at 16; an alert can hold any number."""

ShortText = Annotated[str, msgspec.Meta(max_length=256)]


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What an entry knows of the alert and of the delivery. Texts are cut; a field that the alert lacks is empty.

    Times are ms since the epoch by the ledger's clock; `first_attempt_ms` is 0 if there was no attempt. `attempts`
    counts those since the last replay. `worker` is NAME@HOST of the worker that ended the delivery, '' if none did.
    `attempt_ms` is the duration of the last attempt with all its calls, None if the target was not contacted.
    """

    alert_id: ShortText = ""
    rule_id: ShortText = ""
    rule_level: Annotated[int, msgspec.Meta(ge=0, le=MAX_LEVEL)] | None = None
    rule_description: ShortText = ""
    agent_id: ShortText = ""
    agent_name: ShortText = ""
    committed_ms: NonNegative = 0
    first_attempt_ms: NonNegative = 0
    attempts: NonNegative = 0
    worker: ShortText = ""
    attempt_ms: NonNegative | None = None


class Positioned(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an integration's history. `position` is its id in the stream, '' if there is no stream."""

    integration: str
    position: str

    @property
    def order(self) -> tuple[int, int]:
        """The time of the entry in ms, and its number within that ms. Without a position it comes first."""
        ms, _, number = self.position.partition("-")
        return int(ms or 0), int(number or 0)


class HistoryEntry(Positioned, frozen=True, kw_only=True):
    """One delivery that ended.

    `outcome` is one of HistoryOutcome, or a word of a newer version. `reason` is a Reason, empty for a delivery, or the
    id of the other integration if it was moved.
    """

    delivery: str
    outcome: str
    reason: str
    facts: Facts

    @property
    def ended_ms(self) -> int:
        """When the delivery ended, in ms since the epoch by the clock of Redis."""
        return self.order[0]

    def is_about(self, wanted: str) -> bool:
        """Return whether `wanted` is the id of the delivery or of its alert, which entries hold cut."""
        return wanted == self.delivery or wanted[:ALERT_ID_CHARS] == self.facts.alert_id != ""

    @property
    def latency_ms(self) -> int:
        """The time from the commit until the end in ms; 0 if the commit is unknown."""
        return max(0, self.ended_ms - self.facts.committed_ms) if self.facts.committed_ms else 0


class UnreadableEntry(Positioned, frozen=True, kw_only=True):
    """An entry that Courier has not written, or that is damaged. `problem` says what is wrong and quotes nothing."""

    problem: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Facts)


def encode_facts(facts: Facts) -> bytes:
    """Return the field `facts` of an entry."""
    return _encoder.encode(facts)


def read_entry(
    integration_id: str, position: bytes, fields: Mapping[bytes, bytes] | None
) -> HistoryEntry | UnreadableEntry:
    """Return one entry of a stream, as Redis returned it."""
    where = id_text(position)
    try:
        return _read(integration_id, where, fields or {})
    except (ValueError, RecursionError) as error:
        return UnreadableEntry(integration=integration_id, position=where, problem=str(error))


def _read(integration_id: str, position: str, fields: Mapping[bytes, bytes]) -> HistoryEntry:
    if not _POSITION.fullmatch(position):
        raise ValueError("its id is not a time")
    missing = [name.decode() for name in (b"id", b"outcome", b"reason", b"facts") if name not in fields]
    if missing:
        raise ValueError(f"it has no field {missing[0]}")
    delivery, reason = _text(fields, b"id", MAX_ID_CHARS), _text(fields, b"reason", 128)
    outcome, facts = _text(fields, b"outcome", 32), fields[b"facts"]
    if not _OUTCOME.fullmatch(outcome):
        raise ValueError("its outcome is not a word")
    if len(facts) > MAX_FACTS_BYTES:
        raise ValueError("its facts are too long")
    return HistoryEntry(
        integration=integration_id,
        position=position,
        delivery=delivery,
        outcome=outcome,
        reason=reason,
        # Lua cuts texts at bytes, so the last character may be incomplete.
        facts=_decoder.decode(facts.decode("utf-8", "replace")),
    )


def _text(fields: Mapping[bytes, bytes], name: bytes, most: int) -> str:
    text: Any = id_text(fields[name])
    if len(text) > most:
        raise ValueError(f"its {name.decode()} is too long")
    return str(text)
