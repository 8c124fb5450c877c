"""Find conditions that can be read, but on fields that alerts do not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.conditions import field_hints, parse_condition
from common.settings.silences import SILENCES
from ops.admin.check.finding import warning
from producer.filters.agents import AGENT_GROUPS
from producer.filters.conditions import AlertConditions, digest_conditions, use_agent_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from common.conditions import NamedCondition
    from common.integration import Integration
    from common.silences import FileSilence
    from ops.admin.check.finding import Finding
    from producer.filters.agents import AgentGroups


def check_conditions(
    integration: Integration, names: Mapping[str, NamedCondition], agents: AgentGroups, *, is_explained: bool
) -> Iterator[Finding]:
    """Yield a warning for each field of its conditions, and of its digest, that alerts do not have.

    `is_explained` says that a warning about missing groups of agents would be the second one.
    """
    conditions, where = AlertConditions(integration, names), f"{integration.file}:{integration.line}"
    lists = {"only": conditions.only, "except": conditions.without, **digest_conditions(integration, names)}
    for key, list_ in lists.items():
        yield from (warning(f"{key}: {hint}", where) for hint in field_hints(list_))
    if use_agent_groups(integration, names) and not agents and not is_explained:
        yield warning(f"the alerts of Wazuh 4.x carry no {AGENT_GROUPS}: set [agents] file", where)


def check_silences(silences: Sequence[FileSilence], names: Mapping[str, NamedCondition]) -> Iterator[Finding]:
    """Yield a warning for each field of the conditions of courier.toml's silences that alerts do not have."""
    for silence in silences:
        conditions = [parse_condition(text, names=names) for text in silence.match]
        yield from (warning(f"[[{SILENCES}]] {silence.why!r:.60}: {hint}") for hint in field_hints(conditions))
