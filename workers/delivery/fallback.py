"""Marks an alert that goes to a fallback integration with the reason: another integration could not deliver it.

The alert's own bytes, numbers included, stay unchanged (D4); text is inserted at up to three offsets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from common import lenient_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from common.ledger import FallbackOf

NOTE_KEY = "courier"
"""Name of the member that is added to the alert for programs."""


def annotate(raw: bytes, origin: FallbackOf) -> bytes:
    """Return the alert with a last member `courier` and with a prefix in `full_log` and `rule.description`.

    A line that is not a JSON object is returned unchanged.
    """
    note = {"undelivered_to": origin.integration, "reason": origin.reason}
    return mark(raw, f"[Courier: undelivered to {origin.integration}, {origin.reason}] ", note)


def mark(raw: bytes, prefix: str, note: Mapping[str, object]) -> bytes:
    """Return the alert with `note` as its last member `courier`, and `prefix` in `full_log` and `rule.description`.

    Messages for people consist of these two; one that is missing or not a string stays unchanged. If the alert has an
    object `courier`, as a digest does, the members of `note` become its last ones. A line that is not a JSON object is
    returned unchanged.
    """
    text = raw.removeprefix(lenient_json.BOM).decode("utf-8", "surrogateescape")
    try:
        members, end = lenient_json.value_offsets(text)
    except ValueError:
        return raw
    own = members.get(NOTE_KEY)
    if own is not None and text[own] == "{":
        inner, inner_end = lenient_json.value_offsets(text, own)
        additions = {inner_end: f"{', ' if inner else ''}{json.dumps(note)[1:-1]}"}
    else:
        additions = {end: f'{", " if members else ""}"{NOTE_KEY}": {json.dumps(note)}'}
    escaped = json.dumps(prefix)[1:-1]
    for offset in (members.get("full_log"), _description(text, members.get("rule"))):
        if offset is not None and text[offset] == '"':
            additions[offset + 1] = escaped
    # From the last offset to the first: an insertion moves all offsets behind it.
    for offset, addition in sorted(additions.items(), reverse=True):
        text = text[:offset] + addition + text[offset:]
    return text.encode("utf-8", "surrogateescape")


def _description(text: str, rule: int | None) -> int | None:
    if rule is None or text[rule] != "{":
        return None
    return lenient_json.value_offsets(text, rule)[0].get("description")
