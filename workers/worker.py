"""A worker process: a Celery worker that consumes the queues of the integrations it serves."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import warnings
from time import sleep
from typing import TYPE_CHECKING, Any

import celery.apps.worker
from celery import Celery, Task, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.worker import state
from kombu import Queue

from common.broker.celery_app import make_app, queue, queue_name
from common.broker.dispatcher import Dispatcher
from common.broker.task_message import DELIVER
from common.ledger import Ledger
from workers.celery_worker import remote_control
from workers.celery_worker.consumer import FixedDelayConsumer
from workers.celery_worker.message_gate import MessageGate, gated_amqp
from workers.celery_worker.request import NoAckRequest
from workers.celery_worker.watchdog import Watchdog
from workers.delivery.task import DeliveryTask
from workers.maintenance.heartbeat import Heartbeat
from workers.maintenance.loop import Maintenance
from workers.maintenance.retention import Retention
from workers.process_identity import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis import Redis

    from common.errors import SettingsError
    from workers.delivery.served import ServedIntegrations
    from workers.metrics import WorkerMetrics
    from workers.transports.script.process_groups import ProcessGroups

_log = logging.getLogger("courier.worker")


class MaintenanceStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
    """Starts the housekeeping once the pool is there; it goes on until every running delivery has ended."""

    requires = ("celery.worker.components:Pool",)
    maintenance: Maintenance
    ignores_hangup: bool

    def start(self, worker: Any) -> None:  # noqa: ARG002 — the bootstep's interface
        """Begin the rounds.

        A closed terminal ends the worker as SIGTERM does; with nohup it goes on. Celery, which has set its handlers
        by now, would start the command again, or let the signal kill the process with its scripts.
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN if self.ignores_hangup else _terminate)
        self.maintenance.start()


class Worker:
    """One worker process.

    `slots` is how many tasks it runs at once; each may carry several deliveries. `drain_s` is how long it may take to
    finish them when it is told to stop. `groups` are those of all its scripts, which it ends with itself.
    """

    def __init__(
        self,
        *,
        name: str,
        slots: int,
        drain_s: float,
        redis_url: str,
        client: Redis,
        routes: ServedIntegrations,
        groups: ProcessGroups,
        metrics: WorkerMetrics | None = None,
        looks: Sequence[Callable[[], object]] = (),
    ) -> None:
        self.routes, self._groups = routes, groups
        hostname = f"{name}@{socket.gethostname()}"
        gate = MessageGate(hostname, on_drop=metrics.message_dropped if metrics else _noop)
        self._app = make_app(redis_url, gated_amqp(gate))
        ledger = Ledger(client)
        dispatcher = Dispatcher(self._app, ledger, client)
        process = this_process()
        deliverer = DeliveryTask(ledger, dispatcher, self.routes, identity=process, sleep=sleep, metrics=metrics)
        self._watchdog = Watchdog(
            queued=lambda: dispatcher.queued(self.routes.ids()),
            begun=lambda: state.all_total_count[0],
            free=lambda: len(state.reserved_requests) < slots,
            end=self._end_now,
        )
        heartbeat = Heartbeat(client, hostname, process, deliverer.counters)
        self._maintenance = Maintenance(
            self.routes,
            dispatcher,
            deliverer,
            self._consume,
            watchdog=self._watchdog,
            heartbeat=heartbeat,
            retention=Retention(ledger),
            on_fatal=self._exit_with_error,
            retry_hooks=[routes.retry_threads, groups.retry_start, *looks],
            metrics=metrics,
        )
        self._drain_s = drain_s
        self._error: SettingsError | None = None
        self._stop_requested = False
        self._worker = self._build(hostname, slots, deliverer)

    def run(self) -> int:
        """Consume until SIGTERM, SIGINT or SIGHUP, finish what is running, and return the exit status.

        An end that no signal asked for has a status that supervisors restart. Raises SettingsError, after the same
        end, if the registry was sealed with another key meanwhile.
        """
        try:
            self._worker.start()
        finally:
            self._maintenance.stop()
            self._groups.wait(self._drain_s)
            self._groups.kill_all()
        if self._error:
            raise self._error
        return int(self._worker.exitcode or (0 if self._stop_requested else os.EX_SOFTWARE))

    def _exit_with_error(self, error: SettingsError) -> None:
        """End as if told to, for this reason: the key is read at the start only."""
        self._error = error
        _terminate()

    def _stopping(self, **_: object) -> None:
        """Say so, and make sure that the end comes: a settlement may wait for a Redis that never comes back."""
        self._stop_requested = True
        self._watchdog.disarm()
        _log.info("stopping: finishing what is being sent, for %g s at most", self._drain_s)
        limit = threading.Timer(self._drain_s, self._end_drain)
        limit.daemon = True
        limit.start()

    def _end_drain(self) -> None:
        _log.warning("the time to finish is over; what is still being sent is left to its lease")
        self._end_now(os.EX_CONFIG if self._error else 0)

    def _end_now(self, status: int) -> None:
        """End the process without waiting for anything but the scripts, which are stopped."""
        self._groups.kill_all()
        os._exit(status)

    def _build(self, hostname: str, slots: int, deliverer: DeliveryTask) -> Any:
        warnings.filterwarnings("ignore", category=SecurityWarning)  # about pickle as root: only JSON is accepted
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)  # of a setting that we do set
        signals.setup_logging.connect(_keep_logging)
        signals.worker_shutting_down.connect(self._stopping)
        remote_control.unregister_others()
        _register(self._app, deliverer)
        # A queue of its own name is always consumed, so that a worker without integrations still is one.
        idle = Queue(self._app.conf.task_default_queue)
        self._app.conf.task_queues = [idle, *map(queue, sorted(self.routes.ids()))]
        ignores_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        parts = {"maintenance": self._maintenance, "ignores_hangup": ignores_hangup}
        step = type("Step", (MaintenanceStep,), parts)
        self._app.steps["worker"].add(step)
        return self._app.Worker(
            hostname=hostname,
            pool="threads",
            concurrency=slots,
            consumer_cls=FixedDelayConsumer,
            without_mingle=True,
            without_gossip=True,
            quiet=True,
        )

    def _consume(self, ids: set[str]) -> None:
        """Make the running consumer consume these and no others; called from the housekeeping's thread."""
        consumer = self._worker.consumer
        known = self._app.amqp.queues
        for integration_id in ids:
            if queue_name(integration_id) not in known.consume_from:
                known.add(queue(integration_id))
                consumer.call_soon(consumer.add_task_queue, queue_name(integration_id))
        ours = {queue_name(i) for i in ids} | {self._app.conf.task_default_queue}
        for name in set(known.consume_from) - ours:
            consumer.call_soon(consumer.cancel_task_queue, name)


def _terminate(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _noop(*_: object) -> None:
    """Do nothing: for a line on stderr that no log reader expects, and for a count without metrics."""


def _register(app: Celery, deliverer: DeliveryTask) -> Task:
    @app.task(name=DELIVER, Request=NoAckRequest)  # type: ignore[untyped-decorator]  # Celery ships no types
    def deliver(integration_id: str, ids: Sequence[str]) -> dict[str, int]:
        return deliverer.deliver(integration_id, ids)

    return deliver


def _keep_logging(**_: object) -> None:
    """Being connected is all it takes: Celery then leaves logging alone. A line per task would drown the rest."""
    celery.apps.worker.safe_say = _noop  # it writes past every logger; our own lines tell of the end
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
