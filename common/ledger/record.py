"""The record of a delivery: a header that changes and the bytes of the alert, which never change."""

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
"""Maximum length of a delivery id. Courier's own ids have up to 200 characters."""

MAX_TIME_MS: Final = 10**14 - 1
"""The year 5138. Lua in Redis writes longer numbers with an exponent, and the record would be unreadable."""

NonNegative = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_MS)]
"""A time in ms or a count in a record."""


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """A failed attempt: its time (ms since the epoch), the reason and a description for people."""

    at_ms: NonNegative
    reason: str
    detail: str = ""


class FallbackOf(msgspec.Struct, frozen=True, array_like=True):
    """The integration that could not deliver the alert, and the reason."""

    integration: str
    reason: str


class LastResponse(msgspec.Struct, frozen=True, array_like=True):
    """The last response of the service, to the attempt at `at_ms`: an HTTP status or exit status, and the body.

    `text` contains no secrets and no control characters except tabs and line ends. `truncated` means that the body was
    longer. `status` is None for a script that Courier stopped.
    """

    at_ms: NonNegative
    status: Annotated[int, msgspec.Meta(ge=-MAX_TIME_MS, le=MAX_TIME_MS)] | None
    text: str
    truncated: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a record that changes. Times are milliseconds since the epoch by the ledger's clock.

    `budget_start_ms` is the start of the retry budget: the first attempt, or the first one after a replay; 0 before it.
    `replayed_ms` is the due time that the last replay set, `held_until_ms` when a hold ends or ended, 0 without one.
    `lost_attempts` counts attempts whose worker died.
    `completed_calls` names the calls of this delivery that must not be repeated. If `fallback_of` is set, this is the
    alert of another integration's dead letter. `response` is only the last one, so that a record stays small however
    many attempts there are.
    """

    committed_ms: NonNegative
    budget_start_ms: NonNegative = msgspec.field(name="since_ms", default=0)
    attempts: NonNegative = 0
    lost_attempts: NonNegative = msgspec.field(name="lost", default=0)
    replays: NonNegative = 0
    replayed_ms: NonNegative = 0
    held_until_ms: NonNegative = 0
    completed_calls: tuple[str, ...] = msgspec.field(name="done", default=())
    history: tuple[Attempt, ...] = ()
    fallback_of: FallbackOf | None = None
    response: LastResponse | None = msgspec.field(name="answer", default=None)


class Delivery(msgspec.Struct, frozen=True):
    """One delivery: its id, its header and the bytes of the alert.

    `begun_ms` is the ledger's time at `begin`. `last_success_ms` is when the integration's target last accepted a
    delivery. Both are 0 if unknown.
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
    """Return the delivery of a record. Raises UnreadableRecord if Courier cannot have written it."""
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
    """Return an integration's totals by `outcome` or `outcome:reason`, with the current names of reasons."""
    totals: Counter[str] = Counter()
    for name, value in fields.items():
        outcome, colon, reason = name.partition(":")
        totals[outcome + colon + current_reason(reason)] += to_int(value)
    return dict(totals)


def is_usable_id(delivery_id: str) -> bool:
    """Return whether a queue message can carry an id: at most MAX_ID_CHARS characters, and valid UTF-8."""
    if not 0 < len(delivery_id) <= MAX_ID_CHARS:
        return False
    return delivery_id.isascii() or not any("\ud800" <= c <= "\udfff" for c in delivery_id)


def id_text(raw: bytes) -> str:
    """Decode an id or another text from Redis, which may not be UTF-8. `id_bytes` returns the same bytes again."""
    return raw.decode("utf-8", "surrogateescape")


def id_bytes(text: str) -> bytes:
    """Encode a text that `id_text` decoded."""
    return text.encode("utf-8", "surrogateescape")


def to_int(value: Any) -> int:
    """Return a number from a hash in Redis, 0 if it is not a number or its absolute value exceeds MAX_TIME_MS."""
    try:
        number = int(float(value or 0))
    except (ValueError, OverflowError):
        return 0
    return number if abs(number) <= MAX_TIME_MS else 0
