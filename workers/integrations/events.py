"""Events for the manager, as its queue socket takes them (spec 7): `1:LOCATION:MESSAGE`.

LOCATION says which agent the event is credited to. The receiver takes everything up to the first `:` that no `|`
protects, so the agent's part is escaped; a bare tag is the manager's own, agent 000.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.json_text import write_json
from common.outcome import ManagerEvent
from workers.integrations.authentic import without_delete
from workers.integrations.fields import Fields, found, needed
from workers.integrations.limits import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGERS_OWN = "000"

_control_characters: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

LONGEST_DATAGRAM: Final = 65_535
"""Bytes that the manager takes; it silently drops what is beyond (spec 7)."""

LONGEST_PART: Final = 1_024
"""Characters that stay of each part of an event that would be longer."""

_DEEPEST_PART: Final = 3
"""The parts that the manager's rules look at are no deeper: `virustotal.source.file`, `threat.indicator.confidence`."""


def event(location: str, message: Mapping[str, Any]) -> ManagerEvent:
    """Return the event with its JSON as the stock scripts write it. Raises ValueError for what cannot be written.

    Where the manager would cut the JSON, long texts are cut instead and long lists emptied: a verdict must not be lost
    for what a service tells besides. A member `courier` says so.
    """
    told = ManagerEvent(location, without_delete(write_json(message)))
    if (size := len(datagram(told))) <= LONGEST_DATAGRAM:
        return told
    note = f"long parts are cut or left out: the event had {size} bytes, and the manager takes {LONGEST_DATAGRAM}"
    short = write_json(_short(message, _DEEPEST_PART) | {"courier": {"shortened": note}})
    return ManagerEvent(location, without_delete(short))


def _short(value: Any, levels: int) -> Any:
    """Return a value with each part of it cut; what is left out keeps its type, by which the indexer stores it."""
    if isinstance(value, dict) and levels:
        return {name: _short(part, levels - 1) for name, part in value.items()}
    if isinstance(value, dict | list):
        return value if len(write_json(value)) <= LONGEST_PART else type(value)()
    return cut(value, LONGEST_PART)


def datagram(event: ManagerEvent) -> bytes:
    """Return an event as it is written to the socket."""
    return f"1:{event.location}:{event.message}".encode()


def credited_to_agent(fields: Fields, tag: str) -> str:
    """Return `[ID] (NAME) IP->TAG`, escaped, or the tag alone for the manager or an alert without agent.

    Raises Refusal if the agent has no id or no name.
    """
    if not fields.get("agent") or needed(fields, "agent", "id") == MANAGERS_OWN:
        return tag
    address = found(fields, "agent", "ip")
    who = f"[{needed(fields, 'agent', 'id')}] ({needed(fields, 'agent', 'name')}) {address or 'any'}"
    return f"{escaped(who)}->{tag}"


def escaped(text: str) -> str:
    """Protect `|` and `:`. Control characters, and lone surrogates, which cannot be sent, become question marks."""
    protected = text.replace("|", "||").replace(":", "|:").encode("utf-8", "replace").decode()
    return _control_characters.sub("?", protected)
