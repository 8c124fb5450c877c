"""`courier status --check`: one line and an exit status for cron, Nagios and compatible monitoring systems."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from common.health.checks import HEARTBEAT_TIMEOUT_S, IDLE_LIMIT_S
from ops.admin.node_differences import describe_differences
from ops.admin.terminal import age, plain, pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.admin.status_report import StatusReport

MAX_LISTED: Final = 5
"""Findings in the line; the rest are only counted."""


class Level(IntEnum):
    """Exit statuses of a Nagios plugin (Nagios Plugin Development Guidelines, "Plugin Return Codes")."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Finding(NamedTuple):
    """One problem and its severity."""

    level: Level
    text: str


def verdict(report: StatusReport) -> tuple[Level, str]:
    """Return the worst level and the line, with performance data after `|` in the format of Nagios."""
    found = sorted(_findings(report), key=lambda one: -one.level)
    level = max((one.level for one in found), default=Level.OK)
    return level, line(level, [one.text for one in found] or [_summary(report)]) + _performance_data(report)


def line(level: Level, texts: list[str]) -> str:
    """Return the line without performance data. `|` becomes `/`, because it would start the performance data."""
    more = [f"{len(texts) - MAX_LISTED} more"] if len(texts) > MAX_LISTED else []
    text = plain("; ".join([*texts[:MAX_LISTED], *more]))
    return f"COURIER {level.name} - {text.replace('|', '/')}"


def _findings(report: StatusReport) -> Iterator[Finding]:
    if report.redis.error:
        yield Finding(Level.CRITICAL, report.redis.error)
    yield from _producer_findings(report)
    yield from _worker_findings(report)
    for one, what in report.integrations.items():
        if what.dead:
            yield Finding(Level.WARNING, f"{one}: {pluralize(what.dead, 'dead letter')}")
        for text in describe_differences(what.nodes, what.differing):
            yield Finding(Level.WARNING, f"{one}: {text}")
        if what.held_back:
            yield Finding(Level.CRITICAL if what.damaged else Level.WARNING, f"{one}: {what.held_back}")


def _producer_findings(report: StatusReport) -> Iterator[Finding]:
    if not report.nodes:
        yield Finding(Level.CRITICAL, "no producer has ever reported")
    for name, node in report.nodes.items():
        silent_s = None if node.seen_ms is None else (report.time_ms - node.seen_ms) / 1000
        if silent_s is None or silent_s > HEARTBEAT_TIMEOUT_S:
            since = "has never reported" if silent_s is None else f"last reported {age(silent_s)} ago"
            yield Finding(Level.CRITICAL, f"the producer of {name} {since}")
        if node.intake_paused:
            yield Finding(Level.CRITICAL, f"{name}: intake paused: {node.intake_paused}")
        if node.foreign_writes:
            yield Finding(Level.WARNING, f"{name}: {node.foreign_writes}")
        if node.config_error:
            yield Finding(Level.WARNING, f"{name}: {node.config_error}")
        if node.backpressured:
            yield Finding(Level.WARNING, f"{name}: backlog full: {', '.join(node.backpressured)}")


def _worker_findings(report: StatusReport) -> Iterator[Finding]:
    alive = {n: w for n, w in report.workers.items() if report.time_ms - w.seen_ms <= HEARTBEAT_TIMEOUT_S * 1000}
    if not alive:
        yield Finding(Level.CRITICAL, "no worker is running")
    for name, worker in alive.items():
        if worker.config_error:
            yield Finding(Level.WARNING, f"{name}: {worker.config_error}")
        idle_s = 0 if worker.idle_since_ms is None else (report.time_ms - worker.idle_since_ms) / 1000
        if idle_s > IDLE_LIMIT_S:
            yield Finding(
                Level.CRITICAL, f"{name} has started no task for {age(idle_s)} although tasks are queued; restart it"
            )


def _summary(report: StatusReport) -> str:
    configured = sum(not what.removed for what in report.integrations.values())
    numbers = ((configured, "integration"), (len(report.nodes), "producer"), (len(report.workers), "worker"))
    return ", ".join(pluralize(*one) for one in numbers)


def _performance_data(report: StatusReport) -> str:
    found = report.integrations.values()
    oldest_s = max((what.oldest_age_s or 0.0 for what in found), default=0.0)
    waiting = sum(what.waiting for what in found)
    released = sum(what.released for what in found)
    dead = sum(what.dead for what in found)
    return f" | waiting={waiting} released={released} dead={dead} oldest={oldest_s:.1f}s"
