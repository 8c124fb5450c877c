"""Decides which silence keeps an alert from an integration."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from common.conditions import NO_NAMES, compile_all, parse_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from common.conditions import Condition, NamedCondition
    from common.integration import Integration
    from common.silences.model import Silence


class AppliedSilence(NamedTuple):
    """A silence whose conditions have been read."""

    silence: Silence
    conditions: tuple[Condition, ...]
    holds: Callable[[dict[str, Any]], bool]

    def runs_at(self, moment_ms: int) -> bool:
        """Return whether it is in force at a time, in ms since the epoch by the ledger's clock."""
        return self.silence.start_ms <= moment_ms < self.silence.end_ms

    def is_about(self, integration: Integration) -> bool:
        """Return whether it names the integration, by id or name as all commands do, or all."""
        names = (integration.id, integration.name)
        patterns = self.silence.integrations
        return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def compile_silence(silence: Silence, names: Mapping[str, NamedCondition] = NO_NAMES) -> AppliedSilence:
    """Read the conditions of a silence, which can use those of `names`. Raises ConditionError."""
    where = f"silence {silence.id}: match"
    conditions = tuple(
        parse_condition(text, names=names, where=f"{where}[{n}]") for n, text in enumerate(silence.match, start=1)
    )
    return AppliedSilence(silence, conditions, compile_all(conditions))


def silence_for(
    alert: dict[str, Any], moment_ms: int, integration: Integration, silences: Iterable[AppliedSilence]
) -> Silence | None:
    """Return the silence that keeps a decoded alert from an integration that would get it; None if none does.

    `moment_ms` is when the producer reads the alert, in ms since the epoch by the ledger's clock. Of several silences
    the one that began first is returned, whatever their order.
    """
    found = [
        one.silence for one in silences if one.runs_at(moment_ms) and one.is_about(integration) and one.holds(alert)
    ]
    return min(found, key=precedence, default=None)


def precedence(silence: Silence) -> tuple[int, str]:
    """Return the order in which silences apply."""
    return silence.start_ms, silence.id
