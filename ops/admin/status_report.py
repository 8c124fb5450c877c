"""The data model of `courier status`: `--json` writes exactly this; the tables and `--check` use it.

Every key is always present. `VERSION` increases when a key is removed or changes its meaning; keys may be added at any
time. `ops/docs/command-line.md` describes each key.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import LedgerDamaged
from common.ledger import Unaccounted, unaccounted
from common.ledger.balance import READ_AS
from common.metrics.labels import OUTCOMES_WITHOUT_REASON
from common.reports.producer import REJECTED, IntegrationLag, fetch_producer_reports
from common.reports.worker import fetch_all_worker_reports
from common.silences import State
from common.version import commit, version
from ops.admin.hold_reason import hold_reason
from ops.admin.period import held_with_groups
from ops.admin.recent_history import RecentHistory, sample_size, summarize
from ops.admin.silences import SilenceReport
from ops.admin.silences import read_all as read_silence_reports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common.ledger import Status
    from common.registry.entries import CatalogueEntry
    from common.reports.producer import NodeReport
    from common.reports.worker import WorkerReport
    from ops.admin.session import LedgerSession

VERSION: Final = 1

TOTALS: Final = ("read", *READ_AS, "committed", "skipped", "retried", "dead", *OUTCOMES_WITHOUT_REASON)
"""The counters that are always present. A counter with a reason, such as `dead:unauthorized`, appears on first use."""

COUNTERS: Final = ("lines", "matched")


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """A pause by an operator: its start and end in ms since the epoch, the end null if it has none; its reason."""

    since_ms: int
    until_ms: int | None
    reason: str


class BreakerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The circuit breaker: closed, open or half-open; the time of the next probe, and why it opened."""

    state: str
    until_ms: int | None
    reason: str


class HoldReport(msgspec.Struct, frozen=True, kw_only=True):
    """The number of deliveries that are held until the end of a window, in ms since the epoch.

    `courier show` and the console's pages also count what open groups of held alerts become.
    """

    until_ms: int
    number: int


class IntegrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """One integration. Ages are in seconds, times in ms since the epoch; null if there is none."""

    name: str
    removed: bool
    nodes: list[str]
    differing: dict[str, list[str]]
    waiting: int
    failed: int
    held: int
    holds: list[HoldReport]
    released: int
    dead: int
    excepted: int
    silenced: int
    folded: int
    open_groups: int
    alerts_in_groups: int
    unaccounted: Unaccounted | None
    oldest_age_s: float | None
    held_back: str
    damaged: list[str]
    last_error: str
    last_error_ms: int | None
    paused: Paused | None
    target_paused_until_ms: int | None
    breaker: BreakerReport
    limits: dict[str, int]
    totals: dict[str, int]
    cursors: dict[str, str]
    history: RecentHistory


class LagReport(msgspec.Struct, frozen=True, kw_only=True):
    """How far one integration is behind the end of the alert log on a node."""

    lag_bytes: int
    lag_s: float
    backpressured: bool
    max_backlog: int
    max_backlog_bytes: int


class ProducerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The producer of one manager."""

    seen_ms: int | None
    counters: dict[str, int]
    bad_lines: int
    backpressured: list[str]
    intake_paused: str
    foreign_writes: str
    config: str
    config_error: str
    config_digest: str
    config_loaded_ms: int | None
    integrations: dict[str, LagReport]


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process that reported within the last five minutes."""

    name: str
    host: str
    seen_ms: int
    begun: int
    running: int
    idle_since_ms: int | None
    config_error: str


class RedisStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The Redis server of the ledger. `error` is why nothing can be enqueued; empty if it can."""

    error: str


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report at `time` (`time_ms` in ms since the epoch), by the clock of Redis."""

    version: int
    courier: str
    commit: str
    time: str
    time_ms: int
    redis: RedisStatus
    integrations: dict[str, IntegrationReport]
    nodes: dict[str, ProducerStatus]
    workers: dict[str, WorkerStatus]
    silences: list[SilenceReport]


def read_report(
    session: LedgerSession, ids: Sequence[str], *, histories: Mapping[str, RecentHistory] | None = None
) -> StatusReport:
    """Read the report from the ledger. Raises LedgerUnavailable or LedgerMisconfigured.

    `histories` is the result of an earlier `read_histories`; without it, they are read too.
    """
    ledger = session.ledger
    statuses = ledger.statuses(ids)
    recent = read_histories(session, ids) if histories is None else histories
    nodes, workers, now_ms = (
        fetch_producer_reports(session.client),
        fetch_all_worker_reports(session.client),
        ledger.now_ms(),
    )
    silences = [one for one in read_silence_reports(session, [State.RUNNING]).silences if one.state == State.RUNNING]
    return StatusReport(
        version=VERSION,
        courier=version(),
        commit=commit(),
        time=datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        time_ms=now_ms,
        redis=RedisStatus(error=ledger.disk_error() or ledger.intake_block_reason()),
        integrations={
            one: _integration(session.listed[one], status, recent.get(one) or summarize([]), now_ms)
            for one, status in statuses.items()
        },
        nodes={one.node: _node(one) for one in nodes},
        workers={name: _worker(name, report) for name, report in workers.items()},
        silences=silences,
    )


def with_held_groups(session: LedgerSession, report: StatusReport) -> StatusReport:
    """Return the report with the open groups of held alerts in `holds`. Each becomes one delivery.

    It reads the names of all groups of an integration, up to 10,000. Raises LedgerUnavailable or LedgerMisconfigured.
    """
    return msgspec.structs.replace(
        report, integrations={one: _with_groups(session, one, what) for one, what in report.integrations.items()}
    )


def _with_groups(session: LedgerSession, integration_id: str, what: IntegrationReport) -> IntegrationReport:
    if not what.open_groups or what.damaged:
        return what
    held = {one.until_ms: one.number for one in what.holds}
    with suppress(LedgerDamaged):  # since the status was read
        held = held_with_groups(session.ledger, integration_id, held, open_groups=what.open_groups)
    return msgspec.structs.replace(what, holds=_holds(held))


def _holds(held: Mapping[int, int]) -> list[HoldReport]:
    return [HoldReport(until_ms=ms, number=number) for ms, number in held.items()]


def read_histories(session: LedgerSession, ids: Sequence[str]) -> dict[str, RecentHistory]:
    """Return what the last deliveries of each integration say. Raises LedgerUnavailable or LedgerMisconfigured."""
    entries = session.ledger.last_history(ids, sample_size(len(ids)))
    return {one: summarize(newest) for one, newest in entries.items()}


def _integration(listed: CatalogueEntry, status: Status, history: RecentHistory, now_ms: int) -> IntegrationReport:
    return IntegrationReport(
        name=listed.name,
        removed=listed.removed,
        nodes=[*listed.nodes],
        differing=listed.differing or {},
        waiting=status.waiting,
        failed=status.failed,
        held=sum(status.held.values()),
        holds=_holds(status.held),
        released=status.released,
        dead=status.dead,
        excepted=status.totals.get("excepted", 0),
        silenced=status.totals.get("silenced", 0),
        folded=status.totals.get("folded", 0),
        open_groups=status.groups,
        alerts_in_groups=status.in_groups,
        unaccounted=unaccounted(status),
        oldest_age_s=status.oldest_age_s,
        held_back=hold_reason(status, now_ms),
        damaged=[*status.damaged],
        last_error=status.last_error,
        last_error_ms=status.last_error_ms or None,
        paused=_paused(status) if status.paused_ms else None,
        target_paused_until_ms=status.target_until_ms or None,
        breaker=BreakerReport(
            state=status.breaker, until_ms=status.breaker_until_ms or None, reason=status.breaker_reason
        ),
        limits=status.limits,
        totals=dict.fromkeys(TOTALS, 0) | status.totals,
        cursors={node: cursor.partition(" ")[0] for node, cursor in status.cursors.items()},  # without signatures
        history=history,
    )


def _paused(status: Status) -> Paused:
    return Paused(since_ms=status.paused_ms, until_ms=status.paused_until_ms or None, reason=status.pause_reason)


def _node(node: NodeReport) -> ProducerStatus:
    report = node.report
    return ProducerStatus(
        seen_ms=report.seen_ms or None,
        counters=dict.fromkeys(COUNTERS, 0) | node.counters,
        bad_lines=sum(count for name, count in node.counters.items() if name.startswith(REJECTED)),
        backpressured=report.backpressured,
        intake_paused=report.intake_paused,
        foreign_writes=report.foreign_writes,
        config=report.config,
        config_error=report.config_error,
        config_digest=str(report.config_digest or ""),
        config_loaded_ms=report.config_loaded_ms or None,
        integrations={one: _lag(lag) for one, lag in report.lags.items()},
    )


def _lag(lag: IntegrationLag) -> LagReport:
    return LagReport(**msgspec.structs.asdict(lag))


def _worker(worker: str, report: WorkerReport) -> WorkerStatus:
    name, _, host = worker.partition("@")
    return WorkerStatus(
        name=name,
        host=host,
        seen_ms=report.seen_ms,
        begun=report.begun,
        running=report.running,
        idle_since_ms=report.idle_since_ms or None,
        config_error=report.config_error,
    )
