"""What a worker process tells about itself: a heartbeat, and for how long it leaves work lying.

One hash a name, `courier:worker:NAME@HOST`, with one field a process: two workers that were given one name must not
hide each other. It goes away five minutes after the last of them. As with a node's report nothing is decided by it
inside Courier: it is for `courier health`, which a container engine asks.
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
"""A report that is not renewed for this long is forgotten: containers come and go under names of their own."""


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One process as last told. Times are milliseconds of the ledger's clock.

    `begun` counts deliveries since the process started, `running` are those under way. `idle_since_ms` is the first
    moment since which work lay in its queues while it began and ran nothing, 0 if there is none.
    """

    seen_ms: int
    begun: int
    running: int
    idle_since_ms: int


def publish_worker_report(client: Redis, worker: str, process: str, report: WorkerReport) -> None:
    """Replace what `process` of the name `worker` (NAME@HOST) has told.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    key = _PREFIX + worker
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hset(key, process, msgspec.json.encode(report))
        pipe.expire(key, EXPIRE_S)
        for answer in pipe.execute(raise_on_error=False):
            unless_damaged(answer, None)  # a key that somebody else wrote costs this report, and no delivery


def fetch_worker_reports(client: Redis, worker: str) -> dict[str, WorkerReport]:
    """Return what each process of that name last told, by process; what is malformed is left out.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(_PREFIX + worker)
        (fields,) = (unless_damaged(answer, {}) for answer in pipe.execute(raise_on_error=False))
    return _decoded(fields)


def fetch_all_worker_reports(client: Redis) -> dict[str, WorkerReport]:
    """Return what every worker told lately, by NAME@HOST, or NAME@HOST/PROCESS where processes share a name.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        keys: list[bytes] = sorted(client.scan_iter(match=f"{_PREFIX}*", count=1000))
        for key in keys:
            pipe.hgetall(key)
        found: list[Any] = [unless_damaged(answer, {}) for answer in pipe.execute(raise_on_error=False)]
    reports: dict[str, WorkerReport] = {}
    for key, fields in zip(keys, found, strict=True):
        worker, processes = key.decode("utf-8", "replace").removeprefix(_PREFIX), _decoded(fields)
        for process, report in processes.items():
            reports[worker if len(processes) == 1 else f"{worker}/{process}"] = report
    return reports


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, WorkerReport]:
    """Return the reports by process; what is none, as a worker of another version may leave it, is left out."""
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
