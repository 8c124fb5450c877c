"""What one node publishes of an integration, and how the descriptions of several nodes share one entry.

Workers deliver with one description for each id, the one in force: that of the node which changed its own last. The
others are kept beside it, so that the differences can be shown, and so that one of them takes over when the last node
with the description in force removes the integration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from common.integration import Integration

if TYPE_CHECKING:
    from collections.abc import Mapping


class Description(msgspec.Struct, frozen=True):
    """An integration and its published policy (`common.settings.published_policy`).

    The policy is empty if version 0.1 of Courier published it.
    """

    integration: Integration
    policy: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Leave out the policy, which holds secrets in plain text."""
        return f"Description({self.integration!r})"


class Shared(msgspec.Struct, frozen=True):
    """The description in force, the nodes that have the integration, and the descriptions of those that differ."""

    in_force: Description
    nodes: tuple[str, ...] = ()
    others: dict[str, Description] = {}

    def of(self, node: str) -> Description:
        """Return the description that a node published."""
        return self.others.get(node, self.in_force)

    def without(self, node: str) -> Shared:
        """Return this without the description of a node. That in force stays if no node is left."""
        nodes = tuple(one for one in self.nodes if one != node)
        by_node = {one: self.of(one) for one in nodes}
        in_force = self.in_force
        if nodes and in_force not in by_node.values():
            in_force = by_node[nodes[0]]
        return _shared(in_force, by_node)

    def with_node(self, node: str, described: Description) -> Shared:
        """Return this with the description of a node, which is in force from now on if it has changed."""
        by_node = {one: self.of(one) for one in self.nodes}
        in_force = self.in_force if by_node.get(node) == described else described
        return _shared(in_force, by_node | {node: described})

    def differences(self) -> dict[str, list[str]]:
        """Return the names of the settings in which each node's description differs from the one in force."""
        found = {node: _names(one, self.in_force) for node, one in sorted(self.others.items())}
        return {node: names for node, names in found.items() if names}


def _shared(in_force: Description, by_node: Mapping[str, Description]) -> Shared:
    others = {node: one for node, one in by_node.items() if one != in_force}
    return Shared(in_force, tuple(sorted(by_node)), others)


def _names(one: Description, other: Description) -> list[str]:
    """Return the names of the settings that differ. A policy that is not published is not compared."""
    first, second = msgspec.structs.asdict(one.integration), msgspec.structs.asdict(other.integration)
    of_integration = {key.rstrip("_") for key in first if key not in {"file", "line"} and first[key] != second[key]}
    both = one.policy.keys() & other.policy.keys()
    return sorted(of_integration | {key for key in both if one.policy[key] != other.policy[key]})
