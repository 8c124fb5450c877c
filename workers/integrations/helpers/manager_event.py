"""Events for the manager in the format of its queue socket (spec 7): `1:LOCATION:MESSAGE`.

LOCATION says which agent the event belongs to. It ends at the first `:` that is not escaped by `|`, so the agent's part
is escaped. A tag alone stands for the manager itself, agent 000.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from common.exact_json import write_json
from common.outcome import ManagerEvent
from workers.integrations.helpers.alert_fields import Fields, get, require
from workers.integrations.helpers.event_signer import without_delete
from workers.integrations.helpers.text_limits import truncate

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGER_AGENT_ID = "000"

_control_characters: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

MAX_DATAGRAM_BYTES: Final = 65_535
"""Bytes that the manager reads; it silently drops the rest (spec 7)."""

MAX_PART_CHARS: Final = 1_024
"""Characters that are kept of each part of an event that is too large."""

_DEEPEST_PART: Final = 3
"""Levels that the manager's rules read, such as `virustotal.source.file` and `threat.indicator.confidence`."""


def event(location: str, message: Mapping[str, Any]) -> ManagerEvent:
    """Return the event with its JSON formatted as the stock scripts do. Raises ValueError if it has no JSON form.

    If the manager would truncate the JSON, long texts are truncated and long lists emptied instead, so that additional
    data of a service never costs a verdict. The member `courier` then says so.
    """
    whole = ManagerEvent(location, without_delete(write_json(message)))
    if (size := len(datagram(whole))) <= MAX_DATAGRAM_BYTES:
        return whole
    note = (
        f"long parts are truncated or omitted: the event had {size} bytes, and the manager accepts {MAX_DATAGRAM_BYTES}"
    )
    short = write_json(_short(message, _DEEPEST_PART) | {"courier": {"shortened": note}})
    return ManagerEvent(location, without_delete(short))


def _short(value: Any, levels: int) -> Any:
    """Return a value with each part truncated. An omitted part keeps its type, by which the indexer stores it."""
    if isinstance(value, dict) and levels:
        return {name: _short(part, levels - 1) for name, part in value.items()}
    if isinstance(value, dict | list):
        return value if len(write_json(value)) <= MAX_PART_CHARS else type(value)()
    return truncate(value, MAX_PART_CHARS)


def datagram(event: ManagerEvent) -> bytes:
    """Return the bytes that are sent to the socket."""
    return f"1:{event.location}:{event.message}".encode()


def agent_location(fields: Fields, tag: str) -> str:
    """Return `[ID] (NAME) IP->TAG`, escaped, or only the tag for the manager or an alert without agent.

    Raises NotSendable if the agent has no id or no name.
    """
    if not fields.get("agent") or require(fields, "agent", "id") == MANAGER_AGENT_ID:
        return tag
    address = get(fields, "agent", "ip")
    who = f"[{require(fields, 'agent', 'id')}] ({require(fields, 'agent', 'name')}) {address or 'any'}"
    return f"{escape(who)}->{tag}"


def escape(text: str) -> str:
    """Escape `|` and `:` with `|`. Control characters, and lone surrogates, which have no UTF-8, become `?`."""
    protected = text.replace("|", "||").replace(":", "|:").encode("utf-8", "replace").decode()
    return _control_characters.sub("?", protected)
