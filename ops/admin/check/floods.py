"""Find integrations that a flood of the last day would have kept behind by more than a minute, and suggest a digest.

Only the end of the log is read, for a bounded time, so that a log of any size costs `courier check` the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from common.services import SERVICES
from common.settings.digest import DIGEST
from common.settings.rate_limit import Unit
from common.timestamps import time_text, written_at_s
from ops.admin.check.recent import last_lines
from ops.admin.terminal import pluralize
from producer.filters.agents import NO_AGENTS
from producer.filters.decode import InvalidAlert
from producer.filters.index import NO_CONDITIONS, FilterIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from common.integration import Integration
    from common.settings.rate_limit import RateLimit
    from producer.filters.agents import AgentGroups

MAX_BYTES: Final = 64 * 1024 * 1024
LIMIT_S: Final = 2.0
DAY_S: Final = 86_400.0

OLDER_LINES: Final = 100
"""More older alerts than this in a row mean that the day is read. A single one was written while a clock was wrong."""

LATE_S: Final = 60.0
"""A flood is worth a word if an alert waits longer than this for its turn."""

_SECONDS: Final = {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3_600, Unit.DAY: 86_400}


class Flood(NamedTuple):
    """The alerts from the first to the last that had to wait more than LATE_S. `wait_s` is the longest wait."""

    alerts: int
    first_s: float
    last_s: float
    wait_s: float
    limit: RateLimit

    def text(self, integration_id: str, read: Read) -> str:
        """Return the suggestion for an integration, with what it is based on."""
        since, until = (time_text(round(1_000 * moment)) for moment in (self.first_s, self.last_s))
        return (
            f"at {self.limit}, {pluralize(self.alerts, 'alert')} from {since} to {until} would wait for more than a "
            f"minute, up to {pluralize(round(self.wait_s / 60), 'minute')}: [integrations.{integration_id}.digest] "
            f"sends one message in place of many ({read})"
        )


class Read(NamedTuple):
    """How much of the log was read: its newest alerts with a time. `is_day` says that they are all of one day."""

    alerts: int
    is_day: bool

    def __str__(self) -> str:
        of_day = "of the last day" if self.is_day else "of the log; older ones of that day were not read"
        return f"by the newest {pluralize(self.alerts, 'alert')} {of_day}"


def find_floods(
    path: Path,
    limits: Mapping[str, Sequence[RateLimit]],
    integrations: Iterable[Integration],
    named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
    agents: AgentGroups = NO_AGENTS,
    *,
    clock: Callable[[], float],
    now_s: float,
) -> dict[str, str]:
    """Return the suggestion for each integration id with a flood. `limits` are by integration id; `clock` is monotonic.

    `now_s` is in seconds since the epoch: an alert that is dated a day later does not count, nor do the others become
    old by it. Those without a limit have none, nor those that have a digest or look something up for each alert.
    Nothing is read if no integration is left.
    """
    limited = [one for one in integrations if limits.get(one.id) and _can_gain(one)]
    if not limited:
        return {}
    times, read = _times(path, FilterIndex(limited, named_conditions, agents), clock, now_s)
    found = {
        name: max(floods, key=lambda flood: flood.wait_s)
        for name, moments in times.items()
        if (floods := [one for limit in limits[name] if (one := flood(moments, limit))])
    }
    return {name: one.text(name, read) for name, one in found.items()}


def _can_gain(integration: Integration) -> bool:
    """Return whether a digest would help: people read what the service or script sends, and there is none yet."""
    declared, has_digest = SERVICES.get(integration.service), any(one.name == DIGEST for one in integration.sections)
    return not has_digest and (declared is None or bool(declared.message))


def flood(moments: Sequence[float], limit: RateLimit) -> Flood | None:
    """Return what a limit does to alerts that arrive at these moments, in order and in seconds; None without a flood.

    A limit per minute, hour or day counts as a bucket of its size that refills evenly.
    """
    rate, burst = limit.count / _SECONDS[limit.unit], limit.burst or limit.count
    tokens, before, late = float(burst), 0.0, list[tuple[float, float]]()
    for moment in moments:
        tokens = min(burst, tokens + (moment - before) * rate) - 1 if before else burst - 1.0
        before = moment
        wait_s = -tokens / rate
        if wait_s > LATE_S:
            late.append((moment, wait_s))
    if not late:
        return None
    return Flood(len(late), late[0][0], late[-1][0], max(wait_s for _, wait_s in late), limit)


def _times(
    path: Path, index: FilterIndex, clock: Callable[[], float], now_s: float
) -> tuple[dict[str, list[float]], Read]:
    """Return the times of the matching alerts of the last day by integration id, in order, and what was read."""
    times: dict[str, list[float]] = {}
    newest_s, alerts, size, older, is_day = 0.0, 0, 0, 0, False
    until_s = clock() + LIMIT_S
    for raw in last_lines(path, until_s, clock):
        size += len(raw)
        if size > MAX_BYTES:
            break
        moment = written_at_s(raw)
        if moment is None or moment > now_s + DAY_S:
            continue
        newest_s = max(newest_s, moment)
        older = older + 1 if moment < newest_s - DAY_S else 0
        if older > OLDER_LINES:
            is_day = True
            break
        if older:
            continue
        try:
            matching = index.match(raw)
        except InvalidAlert:
            continue
        alerts += 1
        for name in matching:
            times.setdefault(name, []).append(moment)
    else:
        is_day = clock() <= until_s  # the whole log has been read
    return {name: sorted(moments) for name, moments in times.items()}, Read(alerts, is_day)
