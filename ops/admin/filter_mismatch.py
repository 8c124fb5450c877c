"""Which filters and conditions of an integration exclude an alert, and why: for `courier render`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.conditions import parse_named_conditions
from producer.filters.agents import NO_AGENTS
from producer.filters.explain import explain_match
from producer.filters.index import NO_CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from common.integration import Integration
    from producer.filters.agents import AgentGroups
    from producer.filters.explain import ConditionStep, FilterStep, MatchExplanation


def mismatches(
    integration: Integration,
    raw: bytes,
    named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
    agents: AgentGroups = NO_AGENTS,
) -> list[str]:
    """Return, for each filter and condition that excludes the alert, what it requires and what the alert has.

    Raises InvalidAlert if `raw` is not an alert.
    """
    names = parse_named_conditions(named_conditions)
    return list(describe_mismatches(explain_match(integration, names, raw, agents)))


def describe_mismatches(match: MatchExplanation) -> Iterator[str]:
    """Yield a text for each filter and each condition that excludes the alert. The texts are safe to show."""
    yield from (_filter(step) for step in match.filters if not step.passes)
    yield from (_condition(step) for step in match.conditions if not step.passes)


def _filter(step: FilterStep) -> str:
    return f"<{step.element}> requires {step.requires}, the alert has {step.has}"


def _condition(step: ConditionStep) -> str:
    missed = step.explanation.decided_by
    if missed:  # of `only`: that of `except` excludes an alert because all of its terms hold
        return f"only requires {missed.term}: {missed.saw}"
    return f"except excludes {step.text}: {'; '.join(one.saw for one in step.explanation.steps)}"
