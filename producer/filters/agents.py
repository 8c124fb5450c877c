"""The groups of agents, for conditions on `agent.groups`: the alerts of Wazuh 4.x carry none.

They are added to the decoded alert that conditions see, never to what is sent.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from producer.filters.decode import decode_alert

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT_GROUPS: Final = "agent.groups"
"""The field, as it is written in a condition."""

_NO_GROUPS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})


class AgentGroups:
    """The names of each agent's groups, by the agent's id."""

    def __init__(self, by_id: Mapping[str, tuple[str, ...]] = _NO_GROUPS) -> None:
        self._by_id = by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Return the whole alert of a line, as `decode_alert` does, with the groups of its agent."""
        alert = decode_alert(raw)
        self.add_to(alert)
        return alert

    def add_to(self, alert: dict[str, Any]) -> None:
        """Add the groups of the alert's agent, unless the alert has some."""
        agent = alert.get("agent")
        if isinstance(agent, dict) and agent.get("groups") in (None, []):
            agent_id = agent.get("id")
            if isinstance(agent_id, str) and (groups := self._by_id.get(agent_id)):
                agent["groups"] = [*groups]


NO_AGENTS: Final = AgentGroups()
"""Without a file of agents."""
