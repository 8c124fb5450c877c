"""Count how many recent alerts each block matches, to find filters that never match before an alert is missed.

The log is read backwards, file by file, in bounded time and memory, and matched with the producer's own filters.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import Counter, deque
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from producer.alertlog.directory import LogDirectory
from producer.filters.agents import AGENT_GROUPS, NO_AGENTS
from producer.filters.decode import InvalidAlert, decode_line
from producer.filters.index import NO_CONDITIONS, FilterIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from common.integration import Integration
    from producer.filters.agents import AgentGroups

MAX_ALERTS: Final = 10_000
"""Maximum number of alerts to read: a day of a small manager, some minutes of a large one."""

LIMIT_S: Final = 5.0
BLOCK_BYTES: Final = 1024 * 1024
KEPT_BYTES: Final = 64 * 1024 * 1024
"""An archive can only be read forwards; its last lines, up to this size, are kept in memory."""

COMMON_GROUPS: Final = (
    *("attack", "audit", "authentication_failed", "authentication_failures", "authentication_success", "docker"),
    *("firewall", "invalid_login", "ossec", "office365", "rootcheck", "sca", "sshd", "syscheck", "syslog", "sysmon"),
    *("virustotal", "vulnerability-detector", "web", "web_scan", "windows"),
)
"""Common groups of the stock ruleset, for suggestions if the log contains no similar group."""

_NO_FILTER: Final = {
    "level": 0,
    "rule_ids": None,
    "group": None,
    "event_location": None,
    "only": (),
    "except_": (),
}
_ELEMENTS: Final = {"level": "level", "rule_ids": "rule_id", "group": "group", "event_location": "event_location"}
_NEEDS_AGENTS: Final = "the alerts of Wazuh 4.x carry no agent.groups: set [agents] file"
_CONDITIONS: Final = {"only": "only", "except_": "except"}


class RecentCounts(NamedTuple):
    """Number of alerts, matches by integration id, and the reason for each integration without matches."""

    alerts: int
    taken: Mapping[str, int]
    why_none: Mapping[str, str]


def count_recent(
    path: Path,
    integrations: Sequence[Integration],
    named_conditions: Mapping[str, Sequence[str]] = NO_CONDITIONS,
    agents: AgentGroups = NO_AGENTS,
    *,
    clock: Callable[[], float],
) -> RecentCounts:
    """Match the last alerts of the log at `path`; none if it cannot be read. `clock` is monotonic."""
    single = {f"{one.id}\0{field}": _with_one_filter(one, field) for one in integrations for field in _filters(one)}
    alone = (msgspec.structs.replace(one, id=key) for key, one in single.items())
    index = FilterIndex([*integrations, *alone], named_conditions, agents)
    counts, groups, alerts = Counter[str](), set[str](), 0
    for raw in last_lines(path, clock() + LIMIT_S, clock):
        try:
            counts.update(index.match(raw))
            groups.update(decode_line(raw).rule.groups)
        except InvalidAlert:
            continue
        alerts += 1
        if alerts == MAX_ALERTS:
            break
    taken = {one.id: counts[one.id] for one in integrations}
    none = (one for one in integrations if not taken[one.id])
    has_agents = len(agents) > 0
    why = {one.id: _why(one, counts, groups, alerts, has_agents=has_agents) for one in none}
    return RecentCounts(alerts, taken, {name: text for name, text in why.items() if text})


def _filters(integration: Integration) -> list[str]:
    return [field for field, unset in _NO_FILTER.items() if getattr(integration, field) != unset]


def _with_one_filter(integration: Integration, field: str) -> Integration:
    others = {name: unset for name, unset in _NO_FILTER.items() if name != field}
    return msgspec.structs.replace(integration, **others)


def _why(
    integration: Integration, counts: Mapping[str, int], groups: set[str], alerts: int, *, has_agents: bool
) -> str:
    """Return which filters match no alert, with a suggestion. Without alerts, only a likely typo is reported."""
    group = _suggestion(integration.group or "", groups)
    if not alerts:
        return group and f"<group>: {group}"
    unmatched = [field for field in _filters(integration) if not counts[f"{integration.id}\0{field}"]]
    start = f"matches 0 of the last {alerts:,} alerts: "
    if not unmatched:
        return f"{start}no alert matches all of its filters together" if _filters(integration) else ""
    names = " and ".join(f"<{_ELEMENTS[field]}>" for field in unmatched if field in _ELEMENTS)
    reasons = [f"no alert matches {names}"] if names else []
    reasons += [f"{_CONDITIONS[field]} excludes every alert" for field in unmatched if field in _CONDITIONS]
    if any(AGENT_GROUPS in text for field in unmatched if field in _CONDITIONS for text in getattr(integration, field)):
        reasons += [] if has_agents else [_NEEDS_AGENTS]
    reasons += [group] if group and "group" in unmatched else []
    return start + "; ".join(reasons)


def _suggestion(text: str, groups: set[str]) -> str:
    items = [item for item in text.split(",") if item and item not in groups and item not in COMMON_GROUPS]
    known = [*groups, *COMMON_GROUPS]
    similar = ((item, get_close_matches(item.strip(), known, 1, 0.8)) for item in items)
    return "; ".join(f"{item!r}: did you mean {close[0]}?" for item, close in similar if close)


def last_lines(path: Path, until_s: float, clock: Callable[[], float]) -> Iterator[bytes]:
    """Yield lines, newest first, until the monotonic time `until_s`."""
    seen = set()
    for file in reversed(LogDirectory(path).oldest_first()):
        if clock() > until_s:
            return
        if file.inode in seen or file.problem:
            continue
        seen.add(file.inode)
        try:
            yield from _of_archive(file.path, until_s, clock) if file.zipped else _of_plain(file.path, until_s, clock)
        except (OSError, EOFError, zlib.error):  # deleted or damaged: count the other files
            continue


def _of_plain(path: str, until_s: float, clock: Callable[[], float]) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        at, rest = file.seek(0, os.SEEK_END), b""
        while at and clock() <= until_s:
            size = min(at, BLOCK_BYTES)
            at = file.seek(at - size)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from (line for line in reversed(lines) if line)
            if len(rest) > KEPT_BYTES:
                return
        if rest and not at:
            yield rest


def _of_archive(path: str, until_s: float, clock: Callable[[], float]) -> Iterator[bytes]:
    kept, size = deque[bytes](maxlen=MAX_ALERTS), 0
    with gzip.open(path, "rb") as file:
        while line := file.readline(BLOCK_BYTES):
            size += len(line) - (len(kept[0]) if len(kept) == MAX_ALERTS else 0)
            kept.append(line)
            while size > KEPT_BYTES:
                size -= len(kept.popleft())
            if clock() > until_s:
                return  # the end was not reached, so the kept lines are not the last ones
    yield from reversed(kept)
