"""The report of a worker process: a heartbeat, and how long it has not started any queued work.

One hash for each name, `courier:worker:NAME@HOST`, with one field for each process: two workers with the same name must
not hide each other. It expires five minutes after the last report. It is telemetry, like a producer's report; only
`courier health`, which container engines run, decides by it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.connection.errors import as_ledger_errors
from common.ledger.damage import unless_damaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

_PREFIX: Final = "courier:worker:"

EXPIRE_S: Final = 300
"""A report expires after this time without an update: each container has its own name, and containers come and go."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last report of one process. Times are milliseconds of the ledger's clock.

    `begun` counts deliveries since the process started, `running` those in flight. `idle_since_ms` is the time since
    which tasks are queued but the process neither begins nor runs any; 0 if this is not so.
    """

    seen_ms: int
    begun: int
    running: int
    idle_since_ms: int


def publish_worker_report(client: Redis, worker: str, process: str, report: WorkerReport) -> None:
    """Replace the report of `process` under the name `worker` (NAME@HOST).

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    key = _PREFIX + worker
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hset(key, process, msgspec.json.encode(report))
        pipe.expire(key, EXPIRE_S)
        for response in pipe.execute(raise_on_error=False):
            unless_damaged(response, None)  # a key of another client only spoils this report, never a delivery


def fetch_worker_reports(client: Redis, worker: str) -> dict[str, WorkerReport]:
    """Return the last report of each process under that name, by process. Malformed reports are skipped.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(_PREFIX + worker)
        (fields,) = (unless_damaged(response, {}) for response in pipe.execute(raise_on_error=False))
    return _decoded(fields)


def fetch_all_worker_reports(client: Redis) -> dict[str, WorkerReport]:
    """Return the current reports of all workers, by NAME@HOST, or by NAME@HOST/PROCESS if processes share a name.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        keys: list[bytes] = sorted(client.scan_iter(match=f"{_PREFIX}*", count=1000))
        for key in keys:
            pipe.hgetall(key)
        found: list[Any] = [unless_damaged(response, {}) for response in pipe.execute(raise_on_error=False)]
    reports: dict[str, WorkerReport] = {}
    for key, fields in zip(keys, found, strict=True):
        worker, processes = key.decode("utf-8", "replace").removeprefix(_PREFIX), _decoded(fields)
        for process, report in processes.items():
            reports[worker if len(processes) == 1 else f"{worker}/{process}"] = report
    return reports


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, WorkerReport]:
    """Return the reports by process. Skips malformed ones, such as those of another version of Courier."""
    reports = {}
    for process, value in fields.items():
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            reports[process.decode()] = msgspec.json.decode(value, type=WorkerReport)
    return reports


def delete_worker_reports(client: Redis, worker: str, processes: set[str]) -> None:
    """Delete the reports of processes that have ended. Raises LedgerUnavailable or LedgerMisconfigured."""
    if processes:
        with as_ledger_errors():
            client.hdel(_PREFIX + worker, *processes)
