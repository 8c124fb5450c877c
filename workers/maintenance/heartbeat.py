"""The report that a worker publishes once a second, from the maintenance thread, which no delivery can block.

The same second it records in its health file what `courier health` would say of that report.

A running process may still be stalled: Celery's consumer can stop consuming after a reconnect. The report therefore
says since when tasks have been queued while the worker neither began nor ran a delivery.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from common.broker.task_message import queue_name
from common.connection.errors import as_ledger_errors
from common.health.checks import check_progress
from common.ledger.damage import unless_damaged
from common.reports.worker import (
    EXPIRE_S,
    WorkerReport,
    delete_worker_reports,
    fetch_worker_reports,
    publish_worker_report,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from redis import Redis

    from common.errors import CourierError
    from common.health.state_file import HealthFile
    from workers.process_identity import ProcessIdentity

_log = logging.getLogger("courier.worker")


class Heartbeat:
    """Publishes the worker's report. `counters` returns the deliveries begun since the start and those in flight."""

    def __init__(
        self,
        client: Redis,
        worker: str,
        process: ProcessIdentity,
        counters: Callable[[], tuple[int, int]],
        health: HealthFile | None = None,
    ) -> None:
        """`worker` is the name of the worker, NAME@HOST; `process` identifies it among workers of the same name."""
        self._redis, self._worker, self._process, self._counters = client, worker, process, counters
        self._health = health
        self._is_first = True
        self._begun = 0
        self._idle_since_ms = 0

    def publish(self, ids: Collection[str], config_error: str = "") -> int:
        """Publish the report of a worker that serves `ids`; return the number of tasks in its queues.

        `config_error` is why a change of its settings was refused. Raises LedgerUnavailable or LedgerMisconfigured.
        """
        now_ms, queued = self._queue_lengths(ids)
        if self._is_first:
            self._check_namesakes(now_ms)
            self._is_first = False
        begun, running = self._counters()
        if not queued or running or begun != self._begun:
            self._idle_since_ms = 0
        elif not self._idle_since_ms:
            self._idle_since_ms = now_ms
        self._begun = begun
        report = WorkerReport(
            seen_ms=now_ms,
            begun=begun,
            running=running,
            idle_since_ms=self._idle_since_ms,
            config_error=config_error,
            serves=tuple(sorted(ids)),
        )
        publish_worker_report(self._redis, self._worker, str(self._process), report)
        if self._health:
            self._health.record(lambda: check_progress(f"the worker {self._worker}", report, now_ms))
        return queued

    def failed(self, error: CourierError) -> None:
        """Record in the health file why maintenance failed, which usually is that Redis is unavailable."""
        if self._health:
            self._health.unhealthy(error)

    def _check_namesakes(self, now_ms: int) -> None:
        """Log a warning if a running process has the same name; delete the reports of processes that have exited."""
        others = {
            process: report
            for process, report in fetch_worker_reports(self._redis, self._worker).items()
            if process != str(self._process)
        }
        for process in others:
            if pid := self._process.running_pid(process):
                _log.warning(
                    "another worker on this host has the same name, and Flower shows both as one; "
                    "start each with its own --name",
                    extra={"worker": self._worker, "pid": pid},
                )
        exited = {
            process
            for process, report in others.items()
            if self._process.has_exited(process) or now_ms - report.seen_ms > EXPIRE_S * 1000
        }
        delete_worker_reports(self._redis, self._worker, exited)

    def _queue_lengths(self, ids: Collection[str]) -> tuple[int, int]:
        """Return the time of Redis in ms and the number of tasks in the queues, which no worker has begun."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for integration_id in ids:
                pipe.llen(queue_name(integration_id))
            replies: list[Any] = [unless_damaged(reply, 0) for reply in pipe.execute(raise_on_error=False)]
        (seconds, microseconds), *lengths = replies
        return seconds * 1000 + microseconds // 1000, sum(lengths)
