"""The conditions of one integration: `only`, which must all hold, and `except`, of which none may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.conditions import compile_all, compile_any, parse_condition
from common.services.sections import digest_of
from producer.filters.agents import AGENT_GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from common.conditions import Condition, NamedCondition
    from common.integration import Integration
    from producer.filters.decode import Rule


class AlertConditions:
    """The prepared conditions of one integration. Without any, every alert passes.

    `only` and `without` are the parsed conditions of `only` and `except`, in their order.
    """

    def __init__(self, integration: Integration, names: Mapping[str, NamedCondition]) -> None:
        """Prepare the conditions. Raises ConditionError."""
        self.only = only = _parse(integration.only, names, f"{integration.id}: only")
        self.without = without = _parse(integration.except_, names, f"{integration.id}: except")
        self._all, self._none = compile_all(only), compile_any(without)
        self._all_of_rule = compile_all(one for one in only if one.is_fixed_by_rule)
        self._none_of_rule = compile_any(one for one in without if one.is_fixed_by_rule)
        self.is_empty = not only and not without
        self.use_agent_groups = any(AGENT_GROUPS in one.fields for one in (*only, *without))
        self._need_alert = any(not one.is_fixed_by_rule for one in (*only, *without))

    def pass_alert(self, alert: dict[str, Any]) -> bool:
        """Say whether a decoded alert passes. Never raises."""
        return self._all(alert) and not self._none(alert)

    def pass_rule(self, rule: Rule) -> bool | None:
        """Say whether all alerts of an exact rule pass, or none; return None if that depends on the alert."""
        alert = {"rule": {"level": rule.level, "id": rule.id, "groups": [*rule.groups]}}
        if not self._all_of_rule(alert) or self._none_of_rule(alert):
            return False
        return None if self._need_alert else True


def digest_conditions(integration: Integration, names: Mapping[str, NamedCondition]) -> dict[str, list[Condition]]:
    """Return what an integration's digest reads of alerts, by key; a field counts as the condition that it exists.

    Raises ConditionError, and ConfigError if this version cannot read the section.
    """
    digest = digest_of(integration)
    if digest is None:
        return {}
    lists = {"digest.by": digest.by, "digest.top": digest.top, "digest.match": digest.match}
    return {key: _parse(texts, names, f"{integration.id}: {key}") for key, texts in lists.items()}


def use_agent_groups(integration: Integration, names: Mapping[str, NamedCondition]) -> bool:
    """Return whether its conditions or its digest read the groups of agents. Raises as `digest_conditions`."""
    of_digest = (one for list_ in digest_conditions(integration, names).values() for one in list_)
    return AlertConditions(integration, names).use_agent_groups or any(AGENT_GROUPS in one.fields for one in of_digest)


def _parse(texts: tuple[str, ...], names: Mapping[str, NamedCondition], where: str) -> list[Condition]:
    return [parse_condition(text, names=names, where=f"{where}[{n}]") for n, text in enumerate(texts, start=1)]
