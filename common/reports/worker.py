"""The report of a worker process: a heartbeat, and how long it has not started any queued work.

It is in `courier:worker:NAME@HOST`, one field for each process. `courier health`, which container engines run, decides
by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from common.reports.store import Count, ReportStore

if TYPE_CHECKING:
    from redis import Redis

EXPIRE_S: Final = 300
"""A report expires after this time without an update: each container has its own name, and containers come and go."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last report of one process. Times are milliseconds of the ledger's clock.

    `begun` counts deliveries since the process started, `running` those in flight. `idle_since_ms` is the time since
    which tasks are queued but the process neither begins nor runs any; 0 if this is not so. `config_error` is why the
    last change of its settings file was refused. `serves` has the ids of the integrations that it serves; None in the
    report of an earlier version.
    """

    seen_ms: Count
    begun: Count
    running: Count
    idle_since_ms: Count
    config_error: str = ""
    serves: tuple[str, ...] | None = None


_store: Final = ReportStore("courier:worker:", WorkerReport, expire_s=EXPIRE_S)


def publish_worker_report(client: Redis, worker: str, process: str, report: WorkerReport) -> None:
    """Replace the report of `process` under the name `worker` (NAME@HOST).

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    _store.publish(client, worker, process, report)


def fetch_worker_reports(client: Redis, worker: str) -> dict[str, WorkerReport]:
    """Return the last report of each process under that name, by process.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    return _store.fetch(client, worker).reports


def fetch_all_worker_reports(client: Redis) -> dict[str, WorkerReport]:
    """Return the current reports of all workers, by NAME@HOST, or by NAME@HOST/PROCESS if processes share a name.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    return {
        worker if len(published.reports) == 1 else f"{worker}/{process}": report
        for worker, published in _store.fetch_all(client).items()
        for process, report in published.reports.items()
    }


def fetch_worker_names(client: Redis) -> dict[str, str]:
    """Return the name (NAME@HOST) under which each process reports, by process.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    return {process: worker for worker, published in _store.fetch_all(client).items() for process in published.reports}


def delete_worker_reports(client: Redis, worker: str, processes: set[str]) -> None:
    """Delete the reports of processes that have ended. Raises LedgerUnavailable or LedgerMisconfigured."""
    _store.delete(client, worker, processes)
