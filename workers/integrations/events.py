"""Events for the manager, as its queue socket takes them (spec 7): `1:LOCATION:MESSAGE`.

LOCATION says which agent the event is credited to. The receiver takes everything up to the first `:` that no `|`
protects, so the agent's part is escaped; a bare tag is the manager's own, agent 000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.json_text import write_json
from common.outcome import ManagerEvent
from workers.integrations.fields import Fields, found, needed

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGERS_OWN = "000"


def event(location: str, message: Mapping[str, Any]) -> ManagerEvent:
    """Return the event with its JSON as the stock scripts write it. Raises ValueError for what cannot be written."""
    return ManagerEvent(location, write_json(message))


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
    """Protect `|` and `:`. A lone surrogate, which no datagram can hold, becomes a question mark."""
    return text.replace("|", "||").replace(":", "|:").encode("utf-8", "replace").decode()
