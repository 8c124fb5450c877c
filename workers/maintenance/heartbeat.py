"""The sign of life that a worker gives once a second, from the thread that must go on whatever the deliveries do.

A process that lives is not yet one that works: Celery's consumer can be deaf after a reconnect. So the sign says for
how long work has been lying in the worker's queues while it began nothing and was at nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from common.broker.celery_app import queue_name
from common.connection.errors import as_ledger_errors
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

    from workers.process_identity import ProcessIdentity

_log = logging.getLogger("courier.worker")


class Heartbeat:
    """Tells how the worker is doing. `load` returns the deliveries begun so far and those under way."""

    def __init__(
        self, client: Redis, worker: str, process: ProcessIdentity, counters: Callable[[], tuple[int, int]]
    ) -> None:
        """Take the parts; `worker` is the name under which it is found, NAME@HOST."""
        self._redis, self._worker, self._process, self._counters = client, worker, process, counters
        self._is_first = True
        self._begun = 0
        self._idle_since_ms = 0

    def publish(self, ids: Collection[str]) -> None:
        """Give a sign for a worker that serves `ids`. Raises LedgerUnavailable or LedgerMisconfigured."""
        now_ms, lying = self._queue_lengths(ids)
        if self._is_first:
            self._check_namesakes(now_ms)
            self._is_first = False
        begun, running = self._counters()
        if not lying or running or begun != self._begun:
            self._idle_since_ms = 0
        elif not self._idle_since_ms:
            self._idle_since_ms = now_ms
        self._begun = begun
        report = WorkerReport(seen_ms=now_ms, begun=begun, running=running, idle_since_ms=self._idle_since_ms)
        publish_worker_report(self._redis, self._worker, str(self._process), report)

    def _check_namesakes(self, now_ms: int) -> None:
        """Log a warning if a running process has this name, and delete the reports of those that have ended."""
        others = {
            process: report
            for process, report in fetch_worker_reports(self._redis, self._worker).items()
            if process != str(self._process)
        }
        for process in others:
            if pid := self._process.running_pid(process):
                _log.warning(
                    "another worker of this host has the same name, so that Flower shows both as one; "
                    "give each its own --name",
                    extra={"worker": self._worker, "pid": pid},
                )
        ended = {
            process
            for process, report in others.items()
            if self._process.has_exited(process) or now_ms - report.seen_ms > EXPIRE_S * 1000
        }
        delete_worker_reports(self._redis, self._worker, ended)

    def _queue_lengths(self, ids: Collection[str]) -> tuple[int, int]:
        """Return the ledger's time and how many tasks lie in the queues: released work that nobody has begun."""
        with as_ledger_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for integration_id in ids:
                pipe.llen(queue_name(integration_id))
            answers: list[Any] = [unless_damaged(answer, 0) for answer in pipe.execute(raise_on_error=False)]
        (seconds, microseconds), *lengths = answers
        return seconds * 1000 + microseconds // 1000, sum(lengths)
