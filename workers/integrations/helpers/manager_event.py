"""Events for the manager, as its queue socket takes them (spec 7): `1:LOCATION:MESSAGE`.

LOCATION says which agent the event is credited to. The receiver takes everything up to the first `:` that no `|`
protects, so the agent's part is escaped; a bare tag is the manager's own, agent 000.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.outcome import ManagerEvent
from workers.alert.exact_json import write_json
from workers.integrations.helpers.alert_fields import Fields, get, require
from workers.integrations.helpers.event_signer import without_delete
from workers.integrations.helpers.text_limits import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGER_AGENT_ID = "000"

_control_characters: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MAX_DATAGRAM_BYTES: Final = 65_535
"""Bytes that the manager takes; it silently drops what is beyond (spec 7)."""

MAX_PART_CHARS: Final = 1_024
"""Characters that stay of each part of an event that would be longer."""

_DEEPEST_PART: Final = 3
"""The parts that the manager's rules look at are no deeper: `virustotal.source.file`, `threat.indicator.confidence`."""


def event(location: str, message: Mapping[str, Any]) -> ManagerEvent:
    """Return the event with its JSON as the stock scripts write it. Raises ValueError for what cannot be written.

    Where the manager would cut the JSON, long texts are cut instead and long lists emptied: a verdict must not be lost
    for what a service tells besides. A member `courier` says so.
    """
    told = ManagerEvent(location, without_delete(write_json(message)))
    if (size := len(datagram(told))) <= MAX_DATAGRAM_BYTES:
        return told
    note = f"long parts are cut or left out: the event had {size} bytes, and the manager takes {MAX_DATAGRAM_BYTES}"
    short = write_json(_short(message, _DEEPEST_PART) | {"courier": {"shortened": note}})
    return ManagerEvent(location, without_delete(short))


def _short(value: Any, levels: int) -> Any:
    """Return a value with each part of it cut; what is left out keeps its type, by which the indexer stores it."""
    if isinstance(value, dict) and levels:
        return {name: _short(part, levels - 1) for name, part in value.items()}
    if isinstance(value, dict | list):
        return value if len(write_json(value)) <= MAX_PART_CHARS else type(value)()
    return truncate(value, MAX_PART_CHARS)


def datagram(event: ManagerEvent) -> bytes:
    """Return an event as it is written to the socket."""
    return f"1:{event.location}:{event.message}".encode()


def agent_location(fields: Fields, tag: str) -> str:
    """Return `[ID] (NAME) IP->TAG`, escaped, or the tag alone for the manager or an alert without agent.

    Raises NotSendable if the agent has no id or no name.
    """
    if not fields.get("agent") or require(fields, "agent", "id") == MANAGER_AGENT_ID:
        return tag
    address = get(fields, "agent", "ip")
    who = f"[{require(fields, 'agent', 'id')}] ({require(fields, 'agent', 'name')}) {address or 'any'}"
    return f"{escape(who)}->{tag}"


def escape(text: str) -> str:
    """Protect `|` and `:`. Control characters, and lone surrogates, which cannot be sent, become question marks."""
    protected = text.replace("|", "||").replace(":", "|:").encode("utf-8", "replace").decode()
    return _control_characters.sub("?", protected)
