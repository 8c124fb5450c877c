"""The line that says why an alert comes this way: another integration could not deliver it.

The alert's own bytes stay as they are, numbers included (D4): something is put in at up to three places of the text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from common import lenient_json

if TYPE_CHECKING:
    from common.ledger import FallbackOf

NOTE_KEY = "courier"
"""The member of the alert that programs read."""


def annotate(raw: bytes, origin: FallbackOf) -> bytes:
    """Return the alert with a last member `courier`, and with a prefix to `full_log` and `rule.description`.

    These two are what messages for people are made of; one that is missing, or no text, stays so. A line that is no
    JSON object is returned as it is.
    """
    text = raw.removeprefix(lenient_json.BOM).decode("utf-8", "surrogateescape")
    try:
        members, end = lenient_json.value_offsets(text)
    except ValueError:
        return raw
    why = json.dumps({"undelivered_to": origin.integration, "reason": origin.reason})
    additions = {end: f'{", " if members else ""}"{NOTE_KEY}": {why}'}
    prefix = json.dumps(f"[Courier: undelivered to {origin.integration}, {origin.reason}] ")[1:-1]
    for place in (members.get("full_log"), _description(text, members.get("rule"))):
        if place is not None and text[place] == '"':
            additions[place + 1] = prefix
    for place, addition in sorted(additions.items(), reverse=True):
        text = text[:place] + addition + text[place:]
    return text.encode("utf-8", "surrogateescape")


def _description(text: str, rule: int | None) -> int | None:
    if rule is None or text[rule] != "{":
        return None
    return lenient_json.value_offsets(text, rule)[0].get("description")
