"""What the ledger keeps of one delivery: a header that changes and the alert's bytes that never do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from common.errors import UnreadableRecord
from common.json_depth import check_depth
from common.outcome import RENAMED_REASONS, current_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID_CHARS: Final = 512
"""Longest delivery id; ours have up to 200 characters."""

MAX_TIME_MS: Final = 10**14 - 1
"""The year 5138. Redis's Lua writes longer numbers with an exponent, and the record could not be read any more."""

NonNegative = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
"""A time in ms or a count, as records have them."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that did not succeed: when (ms since the epoch), the reason and a text for a person."""

    at_ms: NonNegative
    reason: str
    detail: str = ""


class FallbackOf(msgspec.Struct, frozen=True, array_like=True):
    """The integration that could not deliver it, and the reason."""

    integration: str
    reason: str


class LastResponse(msgspec.Struct, frozen=True, array_like=True):
    """What the service said last: to the attempt at `at_ms`, with an HTTP status or that of a script, in its own words.

    `text` has no secrets and no control characters but tabs and line ends; `cut` says that there was more of it.
    `status` is None for a script that was stopped.
    """

    at_ms: NonNegative
    status: Annotated[int, msgspec.Meta(ge=-MAX_TIME_MS, le=MAX_TIME_MS)] | None
    text: str
    truncated: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The changing part. Times are milliseconds since the epoch by the ledger's clock.

    `since_ms` is when the retry budget began: at the first attempt, or the first after a replay; 0 before it.
    `replayed_ms` is the turn that the last replay gave it. `lost` counts attempts whose worker died, `done` names the
    calls of this delivery that need no repeating. With `fallback_of` it is the alert of another integration's dead
    letter. `answer` is the last that there was and no more, so that a record stays small however often it is tried.
    """

    committed_ms: NonNegative
    budget_start_ms: NonNegative = msgspec.field(name="since_ms", default=0)
    attempts: NonNegative = 0
    lost_attempts: NonNegative = msgspec.field(name="lost", default=0)
    replays: NonNegative = 0
    replayed_ms: NonNegative = 0
    completed_calls: tuple[str, ...] = msgspec.field(name="done", default=())
    history: tuple[Attempt, ...] = ()
    fallback_of: FallbackOf | None = None
    response: LastResponse | None = msgspec.field(name="answer", default=None)


class Delivery(msgspec.Struct, frozen=True):
    """One delivery: its id, its header and the alert's own bytes.

    `begun_ms` is the ledger's time at `begin`, `well_ms` when the integration's target last took any delivery; 0 where
    nobody knows.
    """

    id: str
    header: Header
    alert: bytes
    begun_ms: int = 0
    last_success_ms: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Header)


def encode_header(header: Header) -> bytes:
    """Return the header as one line of JSON, without the line end."""
    return _encoder.encode(header)


def encode_record(delivery: Delivery) -> bytes:
    """Return the record of a delivery, as the scripts write it."""
    return encode_header(delivery.header) + b"\n" + delivery.alert


def decode_record(delivery_id: str, record: bytes, begun_ms: int = 0, last_success_ms: int = 0) -> Delivery:
    """Return the delivery that a record describes. Raises UnreadableRecord if it is not one of ours."""
    header, _, alert = record.partition(b"\n")
    try:
        check_depth(header)
        return Delivery(delivery_id, _with_current_reasons(_decoder.decode(header)), alert, begun_ms, last_success_ms)
    except (ValueError, RecursionError) as error:
        problem = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UnreadableRecord(delivery_id, problem) from None


def _with_current_reasons(header: Header) -> Header:
    if all(attempt.reason not in RENAMED_REASONS for attempt in header.history):
        return header
    history = tuple(Attempt(one.at_ms, current_reason(one.reason), one.detail) for one in header.history)
    return msgspec.structs.replace(header, history=history)


def read_totals(fields: Mapping[str, str]) -> dict[str, int]:
    """Return an integration's totals by `outcome` or `outcome:reason`; reasons have their present names."""
    totals: Counter[str] = Counter()
    for name, value in fields.items():
        outcome, colon, reason = name.partition(":")
        totals[outcome + colon + current_reason(reason)] += to_int(value)
    return dict(totals)


def is_usable_id(delivery_id: str) -> bool:
    """Say whether a queue message can carry an id: bounded, and UTF-8."""
    if not 0 < len(delivery_id) <= MAX_ID_CHARS:
        return False
    return delivery_id.isascii() or not any("\ud800" <= c <= "\udfff" for c in delivery_id)


def id_text(raw: bytes) -> str:
    """Return an id, or another text, that Redis holds. It may be no UTF-8; `id_bytes` makes the same bytes of it."""
    return raw.decode("utf-8", "surrogateescape")


def id_bytes(text: str) -> bytes:
    """Return the bytes of what `id_text` returned."""
    return text.encode("utf-8", "surrogateescape")


def to_int(value: Any) -> int:
    """Return a number that a hash in Redis holds, 0 for what is none or out of range."""
    try:
        number = int(float(value or 0))
    except (ValueError, OverflowError):
        return 0
    return number if abs(number) <= MAX_TIME_MS else 0
