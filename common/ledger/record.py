"""What the ledger keeps of one delivery: a header that changes and the alert's bytes that never do."""

from __future__ import annotations

import msgspec

from common.depth import check_depth
from common.errors import UnreadableRecord


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that did not succeed: when (ms since the epoch), the reason and a text for a person."""

    at_ms: int
    reason: str
    detail: str = ""


class FallbackOf(msgspec.Struct, frozen=True, array_like=True):
    """The integration that could not deliver it, and the reason."""

    integration: str
    reason: str


class LastAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What the service said last: to the attempt at `at_ms`, with an HTTP status or that of a script, in its own words.

    `text` has no secrets and no control characters but tabs and line ends; `cut` says that there was more of it.
    `status` is None for a script that was stopped.
    """

    at_ms: int
    status: int | None
    text: str
    cut: bool = False


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The changing part. Times are milliseconds since the epoch by the ledger's clock.

    `since_ms` is when the retry budget began: at the first attempt, or the first after a replay; 0 before it.
    `replayed_ms` is the turn that the last replay gave it. `lost` counts attempts whose worker died, `done` names the
    calls of this delivery that need no repeating. With `fallback_of` it is the alert of another integration's dead
    letter. `answer` is the last that there was and no more, so that a record stays small however often it is tried.
    """

    committed_ms: int
    since_ms: int = 0
    attempts: int = 0
    lost: int = 0
    replays: int = 0
    replayed_ms: int = 0
    done: tuple[str, ...] = ()
    history: tuple[Attempt, ...] = ()
    fallback_of: FallbackOf | None = None
    answer: LastAnswer | None = None


class Delivery(msgspec.Struct, frozen=True):
    """One delivery: its id, its header and the alert's own bytes.

    `begun_ms` is the ledger's time at `begin`, `well_ms` when the integration's target last took any delivery; 0 where
    nobody knows.
    """

    id: str
    header: Header
    alert: bytes
    begun_ms: int = 0
    well_ms: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Header)


def encode_header(header: Header) -> bytes:
    """Return the header as one line of JSON, without the line end."""
    return _encoder.encode(header)


def encode_record(delivery: Delivery) -> bytes:
    """Return the record of a delivery, as the scripts write it."""
    return encode_header(delivery.header) + b"\n" + delivery.alert


def decode_record(delivery_id: str, record: bytes, begun_ms: int = 0, well_ms: int = 0) -> Delivery:
    """Return the delivery that a record describes. Raises UnreadableRecord if it is not one of ours."""
    header, _, alert = record.partition(b"\n")
    try:
        check_depth(header)
        return Delivery(delivery_id, _decoder.decode(header), alert, begun_ms, well_ms)
    except (ValueError, RecursionError) as error:
        problem = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UnreadableRecord(delivery_id, problem) from None
