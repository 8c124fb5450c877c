"""Simulates the manager's queue socket: receives the events that Courier injects, as analysisd does (spec 7)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ops.demo.http_types import json_object, part, text_of

if TYPE_CHECKING:
    from ops.demo.messages import Inbox, Message

LARGEST_BYTES: Final = 65_535
"""The manager reads this much of a datagram and silently drops the rest."""

_RULES: Final = {
    "malicious": "rule 87105, level 12",
    "harmless": "rule 87104, level 3",
    "unknown": "rule 87103, level 3",
    "maltiverse": "rule 99700, level 10",
    "maltiverse, sure": "rule 99702, level 12",
}


class QueueSocket(asyncio.DatagramProtocol):
    """Records each datagram in the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 — asyncio's signature
        """Record one datagram."""
        record_event(self._inbox, data)


def record_event(inbox: Inbox, datagram: bytes) -> Message:
    """Record one datagram and return the message; it is not accepted if the manager could not parse it."""
    queue, _, rest = datagram[:LARGEST_BYTES].partition(b":")
    location, message = split_location(rest.decode("utf-8", "replace"))
    event = json_object(message.encode())
    accepted = queue == b"1" and event is not None
    title, rule = describe(event or {})
    return inbox.add(
        service="manager",
        integration="manager",
        status=0,
        accepted=accepted,
        identity=identity_of(event or {}),
        title=title if accepted else "an event that the manager cannot parse",
        note=rule,
        body={"location": location, "event": event if accepted else message[:2000]},
    )


def split_location(rest: str) -> tuple[str, str]:
    """Split `LOCATION:MESSAGE` at the first colon that is not escaped by a bar, and unescape the location."""
    location, position = "", 0
    while position < len(rest) and rest[position] != ":":
        position += rest[position] == "|" and position + 1 < len(rest)
        location += rest[position]
        position += 1
    return location, rest[position + 1 :]


def identity_of(event: dict[str, Any]) -> str:
    """Return the event's identity: integration, alert id and, if one alert has several events, the indicator."""
    name = text_of(event.get("integration"))
    alert_id = text_of(event.get("alert_id")) or text_of(part(event, "virustotal", "source", "alert_id"))
    indicator = text_of(part(event, "threat", "indicator", "name"))
    return " ".join(filter(None, (name, alert_id, indicator)))


def describe(event: dict[str, Any]) -> tuple[str, str]:
    """Return a description of the event and the manager's rule that matches it (spec 5.5, 5.6)."""
    if event.get("integration") == "virustotal":
        return _virustotal(event.get("virustotal"))
    if event.get("integration") == "maltiverse":
        indicator = part(event, "threat", "indicator") or {}
        name, confidence = text_of(indicator.get("name"), "?"), text_of(indicator.get("confidence"), "?")
        sure = confidence in ("Low", "Medium", "High")
        return f"Maltiverse on {name}: confidence {confidence}", _RULES["maltiverse, sure" if sure else "maltiverse"]
    return text_of(event.get("integration"), "an event"), ""


def _virustotal(verdict: Any) -> tuple[str, str]:
    file = text_of(part(verdict, "source", "file"), "?")
    if part(verdict, "error"):
        return f"VirusTotal: {text_of(part(verdict, 'description'), 'error')} ({file})", ""
    if not part(verdict, "found"):
        return f"VirusTotal does not know {file}", _RULES["unknown"]
    positives, total = part(verdict, "positives"), part(verdict, "total")
    word = "malicious" if part(verdict, "malicious") else "harmless"
    return f"VirusTotal: {positives} of {total} engines call {file} malicious", _RULES[word]
