"""Dead letters as lines of JSON, to move them to another server or to archive them before they are discarded.

Each line holds one complete record of the ledger and therefore no secrets. The alert is text if it is UTF-8, otherwise
base64, so that an import restores the same bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from common.json_depth import check_depth
from common.ledger import DeadLetter, Delivery, Header
from common.ledger.record import NonNegative, id_bytes
from common.printable import printable_json
from ops.admin.dead_letters import FoundLetter

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class DeadLetterLine(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="courier", tag="dead letter 1"
):
    """One line. It starts with a tag that names the record type and the format version."""

    integration: Name
    delivery: Name
    died_ms: NonNegative
    header: Header
    alert: str | None = None
    alert_base64: bytes | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetterLine).decode


def write_line(found: FoundLetter) -> bytes:
    """Return the letter as one line, including the newline."""
    delivery = found.letter.delivery
    try:
        text, raw = delivery.alert.decode(), None
    except ValueError:
        text, raw = None, delivery.alert
    line = DeadLetterLine(
        integration=found.integration_id,
        delivery=id_bytes(delivery.id).decode("utf-8", "backslashreplace"),
        died_ms=found.letter.died_ms,
        header=delivery.header,
        alert=text,
        alert_base64=raw,
    )
    return printable_json(_encode(line).decode()).encode() + b"\n"


def read_line(line: bytes) -> FoundLetter:
    """Return the letter of a line. Raises ValueError with the reason why the line is invalid."""
    check_depth(line)
    found = _decode(line)
    if (found.alert is None) == (found.alert_base64 is None):
        raise ValueError("it must have either `alert` or `alert_base64`")
    alert = found.alert.encode() if found.alert is not None else found.alert_base64 or b""
    return FoundLetter(found.integration, DeadLetter(Delivery(found.delivery, found.header, alert), found.died_ms))
