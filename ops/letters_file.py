"""Dead letters as lines of JSON: for another server, or to be kept when they are discarded here.

Each line is one letter, whole: what the ledger holds of it and nothing else, so without secrets. The alert stands there
as text if it is UTF-8, and in base64 otherwise: its bytes come back as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.depth import check_depth
from common.ledger import DeadLetter, Delivery, Header
from common.printable import printable_json
from ops.dead_letters import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

LATEST_MS: Final = 10**14 - 1
"""The year 5138. Redis's Lua writes longer numbers with an exponent, and the record could not be read any more."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="courier", tag="dead letter 1"):
    """One line; it begins with what it is, and the version of its form."""

    integration: Name
    delivery: Name
    died_ms: int
    header: Header
    alert: str | None = None
    alert_base64: bytes | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def write_line(found: Found) -> bytes:
    """Return the letter as one line, with its line end."""
    delivery = found.letter.delivery
    try:
        text, raw = delivery.alert.decode(), None
    except ValueError:
        text, raw = None, delivery.alert
    line = Line(
        integration=found.integration_id,
        delivery=delivery.id,
        died_ms=found.letter.died_ms,
        header=delivery.header,
        alert=text,
        alert_base64=raw,
    )
    return printable_json(_encode(line).decode()).encode() + b"\n"


def read_line(line: bytes) -> Found:
    """Return the letter that a line describes. Raises ValueError with what is wrong with it."""
    check_depth(line)
    found = _decode(line)
    if (found.alert is None) == (found.alert_base64 is None):
        raise ValueError("it has to have either `alert` or `alert_base64`")
    if not all(0 <= number <= LATEST_MS for number in _numbers(found)):
        raise ValueError("one of its times or counts is out of range")
    alert = found.alert.encode() if found.alert is not None else found.alert_base64 or b""
    return Found(found.integration, DeadLetter(Delivery(found.delivery, found.header, alert), found.died_ms))


def _numbers(line: Line) -> Iterator[int]:
    header = line.header
    yield from (line.died_ms, header.committed_ms, header.since_ms, header.replayed_ms)
    yield from (header.attempts, header.lost, header.replays)
    yield from (attempt.at_ms for attempt in header.history)
    if header.answer:
        yield from (header.answer.at_ms, header.answer.status or 0)
