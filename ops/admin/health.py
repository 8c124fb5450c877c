"""The checks of `courier health`: they read the last report of a producer or a worker from Redis.

A process that runs is still unhealthy if its last report is too old, or if tasks are queued and it starts none. The
process itself checks the same and keeps the result in its health file (`common.health.state_file`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import Unhealthy
from common.health.checks import HEARTBEAT_TIMEOUT_S, check_heartbeat, check_progress, check_readable
from common.ledger import Ledger
from common.reports.producer import fetch_producer_report
from common.reports.worker import fetch_worker_reports
from workers.process_identity import this_process

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from common.reports.worker import WorkerReport


def producer(client: Redis, node: str, alerts: Path) -> str:
    """Return the age of the last report of the producer of `node`, as text. Raises Unhealthy and LedgerError.

    `alerts` is the alert log: a producer that cannot read it does no work, even if it reports regularly.
    """
    check_readable(alerts)
    _check_writable(client)
    seen_ms = fetch_producer_report(client, node).report.seen_ms
    return check_heartbeat(f"the producer of node {node}", seen_ms, Ledger(client).now_ms())


def worker(client: Redis, name: str) -> str:
    """Return the age of the last report of the worker `name` (NAME@HOST), as text. Raises Unhealthy and LedgerError.

    If several processes have that name, each of them must make progress.
    """
    _check_writable(client)
    reports, now_ms = _running_reports(fetch_worker_reports(client, name)), Ledger(client).now_ms()
    who, here = f"the worker {name}", this_process()
    if not reports:
        return check_heartbeat(who, 0, now_ms)
    if len(reports) == 1:
        (report,) = reports.values()
        return check_progress(who, report, now_ms)
    pids = {process: here.running_pid(process) or process for process in reports}
    return "\n".join(check_progress(f"{who} (pid {pids[one]})", report, now_ms) for one, report in reports.items())


def _check_writable(client: Redis) -> None:
    """Raise Unhealthy if Redis refuses writes. Without this check, it takes HEARTBEAT_TIMEOUT_S to notice."""
    if error := Ledger(client).disk_error():
        raise Unhealthy(error)


def _running_reports(reports: dict[str, WorkerReport]) -> dict[str, WorkerReport]:
    """Return the reports of processes that may still run.

    On this host, or in this container, the process table shows which ones run. A process elsewhere counts as ended if
    its report is old while another process of the same name reports: a killed worker restarts under the same name.
    """
    here = this_process()
    left = {process: report for process, report in reports.items() if not here.has_exited(process)}
    newest_ms = max((report.seen_ms for report in left.values()), default=0)
    return {
        process: report
        for process, report in left.items()
        if here.running_pid(process) or newest_ms - report.seen_ms < HEARTBEAT_TIMEOUT_S * 1000
    }
