"""Health checks for a container engine or an orchestrator, which runs them every few seconds.

A check reads the last report of a process from Redis, or requests a page from Flower. A process that runs is still
unhealthy if its last report is too old, or if tasks are queued and it starts none.
"""

from __future__ import annotations

import base64
import errno
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from common.connection.urls import host_in_url
from common.errors import CourierError
from common.ledger import Ledger
from common.permissions import explain
from common.reports.producer import fetch_producer_report
from common.reports.worker import fetch_worker_reports
from workers.process_identity import this_process

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from common.reports.worker import WorkerReport
    from common.settings.schema import FlowerSettings

HEARTBEAT_TIMEOUT_S: Final = 30.0
"""Producer and workers report every second, but each call to Redis in between may take up to 15 s."""

IDLE_LIMIT_S: Final = 60.0
"""A reconnect after a restart of Redis takes seconds. A consumer that starts no task for this long is stuck."""

FLOWER_TIMEOUT_S: Final = 5.0


class Unhealthy(CourierError):  # noqa: N818 — the name says the state
    """Raised when a process makes no progress; the message says for how long and what to do."""


def producer(client: Redis, node: str, alerts: Path) -> str:
    """Return the age of the last report of the producer of `node`, as text. Raises Unhealthy and LedgerError.

    `alerts` is the alert log: a producer that cannot read it does no work, even if it reports regularly.
    """
    for path in (alerts.parent, alerts):
        if _is_unreadable(path):
            raise Unhealthy(
                f"{path} cannot be read: {explain(PermissionError(errno.EACCES, 'Permission denied', path))}"
            )
    _check_writable(client)
    seen_ms = fetch_producer_report(client, node).report.seen_ms
    return _check_heartbeat(f"the producer of node {node}", seen_ms, Ledger(client).now_ms())


def worker(client: Redis, name: str) -> str:
    """Return the age of the last report of the worker `name` (NAME@HOST), as text. Raises Unhealthy and LedgerError.

    If several processes have that name, each of them must make progress.
    """
    _check_writable(client)
    reports, now_ms = _running_reports(fetch_worker_reports(client, name)), Ledger(client).now_ms()
    who, here = f"the worker {name}", this_process()
    if not reports:
        return _check_heartbeat(who, 0, now_ms)
    if len(reports) == 1:
        (report,) = reports.values()
        return _check_progress(who, report, now_ms)
    pids = {process: here.running_pid(process) or process for process in reports}
    return "\n".join(_check_progress(f"{who} (pid {pids[one]})", report, now_ms) for one, report in reports.items())


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


def _check_progress(who: str, report: WorkerReport, now_ms: int) -> str:
    fresh = _check_heartbeat(who, report.seen_ms, now_ms)
    if report.idle_since_ms and now_ms - report.idle_since_ms > IDLE_LIMIT_S * 1000:
        idle_s = (now_ms - report.idle_since_ms) / 1000
        raise Unhealthy(f"{who} has started no task for {idle_s:.0f} s although tasks are queued; restart it")
    return fresh


def flower(settings: FlowerSettings) -> str:
    """Return that Flower responds and sees the workers, as text. Raises Unhealthy otherwise."""
    host = host_in_url(settings.address.replace("0.0.0.0", "127.0.0.1"))  # noqa: S104 — Flower's listen address; nothing listens here
    prefix = settings.url_prefix.strip("/")
    url = f"http://{host}:{settings.port}/{prefix + '/' if prefix else ''}healthcheck"
    request = urllib.request.Request(url)
    if settings.basic_auth:
        login = base64.b64encode(settings.basic_auth.reveal().encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=FLOWER_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        with error:
            raise Unhealthy(
                f"Flower responded with status {error.code} at {url}: {error.read(500).decode(errors='replace')}"
            ) from None
    except (urllib.error.URLError, OSError) as error:
        raise Unhealthy(f"Flower does not respond at {url}: {error}") from None
    return f"Flower responds at {url}"


def _is_unreadable(path: Path) -> bool:
    """Return whether a path exists but cannot be read. A missing one may still be created."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


def _check_heartbeat(who: str, seen_ms: int, now_ms: int) -> str:
    if not seen_ms:
        raise Unhealthy(f"{who} has never reported; it is still starting, cannot reach Redis, or has a different name")
    age_s = (now_ms - seen_ms) / 1000
    if age_s > HEARTBEAT_TIMEOUT_S:
        raise Unhealthy(f"{who} last reported {age_s:.0f} s ago; see its log")
    return f"{who} last reported {age_s:.0f} s ago"
