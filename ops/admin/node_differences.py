"""Differences between what the nodes of one Redis say of an integration, as text: `courier status`, `courier check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.admin.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_NAMES: Final = 10
"""Settings that are listed for a node: the catalogue in Redis is not signed, so their number is bounded here."""


def describe_differences(nodes: Sequence[str], differing: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a text for each node whose description of an integration is not the one that workers use."""
    used = ", ".join(node for node in nodes if node not in differing) or "another node"
    for node, names in differing.items():
        more = ["…"] if len(names) > MAX_NAMES else []
        listed = ", ".join([*names[:MAX_NAMES], *more])
        yield plain(f"{node} configures it with another {listed}; workers use what {used} says, which changed last")
