"""The worker: a Celery worker that consumes the queues of the integrations that it serves."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import celery.apps.worker
from celery import Celery, Task, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.worker import state
from kombu import Queue

from common.broker.celery_app import make_app, queue
from common.broker.dispatcher import Dispatcher
from common.broker.task_message import DELIVER, queue_name
from common.ledger import Ledger
from common.logs import DeliveryLog
from workers.celery_worker import remote_control
from workers.celery_worker.consumer import FixedDelayConsumer
from workers.celery_worker.message_gate import MessageGate, gated_amqp
from workers.celery_worker.request import NoAckRequest
from workers.celery_worker.watchdog import Watchdog
from workers.delivery import test_report
from workers.delivery.event_loop import EventLoop
from workers.delivery.task import DeliveryTask
from workers.delivery.test_attempt import TestAttempts
from workers.maintenance.heartbeat import Heartbeat
from workers.maintenance.loop import Maintenance
from workers.maintenance.retention import Retention
from workers.process_identity import this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis import Redis

    from common.errors import SettingsError
    from common.health.state_file import HealthFile
    from workers.delivery.served import ServedIntegrations
    from workers.delivery.task import AttemptFunction
    from workers.metrics import WorkerMetrics
    from workers.transports.script.process_groups import ProcessGroups

_log = logging.getLogger("courier.worker")


class Worker:
    """One worker process.

    `slots` is the number of tasks that run at once; a task can carry several deliveries. `drain_s` is the time in
    seconds to finish deliveries in flight after a stop signal. `groups` holds the process groups of all scripts;
    the worker kills them when it exits. `stop_scripts` kills those of workers of this machine that were killed.
    """

    def __init__(
        self,
        *,
        name: str,
        slots: int,
        drain_s: float,
        redis_url: str,
        client: Redis,
        integrations: ServedIntegrations,
        groups: ProcessGroups,
        stop_scripts: Callable[[], object],
        metrics: WorkerMetrics | None = None,
        health: HealthFile | None = None,
        log: DeliveryLog = DeliveryLog.FAILED,
        trace_attempts: Callable[[AttemptFunction], AttemptFunction] | None = None,
    ) -> None:
        self.integrations, self._groups = integrations, groups
        hostname = f"{name}@{socket.gethostname()}"
        gate = MessageGate(hostname, on_drop=metrics.message_dropped if metrics else _noop)
        self._app = make_app(redis_url, gated_amqp(gate))
        ledger = Ledger(client)
        dispatcher = Dispatcher(ledger, client)
        process = this_process()
        self._loop = EventLoop(on_crash=partial(self._end_now, os.EX_SOFTWARE))
        delivery_task = DeliveryTask(
            ledger,
            dispatcher,
            self.integrations,
            self._loop,
            identity=process,
            worker=hostname,
            metrics=metrics,
            tests=TestAttempts(hostname, partial(test_report.publish, client)),
            log=log,
            trace=trace_attempts,
            stop_scripts=stop_scripts,
        )
        self._watchdog = Watchdog(
            begun=lambda: state.all_total_count[0],
            free=lambda: len(state.reserved_requests) < slots,
            end=self._end_now,
        )
        heartbeat = Heartbeat(client, hostname, process, delivery_task.counters, health)
        self._maintenance = Maintenance(
            self.integrations,
            dispatcher,
            delivery_task,
            self._consume,
            watchdog=self._watchdog,
            heartbeat=heartbeat,
            retention=Retention(ledger),
            on_fatal=self._exit_with_error,
            retry_hooks=[groups.retry_start, self._loop.check],
            metrics=metrics,
        )
        self._drain_s = drain_s
        self._error: SettingsError | None = None
        self._stop_requested = False
        self._worker = self._build(hostname, slots, delivery_task)

    def run(self) -> int:
        """Consume until SIGTERM, SIGINT or SIGHUP, finish the deliveries in flight and return the exit status.

        If the worker stops without a signal, the status is EX_SOFTWARE, so that supervisors restart it. Raises
        SettingsError after the same orderly stop if the registry has been encrypted with another key meanwhile.
        """
        self._loop.start()
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
        """Stop as after SIGTERM, and let `run` raise `error`: the process reads the secret key only when it starts."""
        self._error = error
        _terminate()

    def _stopping(self, **_: object) -> None:
        """Start the drain timeout: without it, a settlement could wait forever for a Redis that never comes back."""
        self._stop_requested = True
        self._watchdog.disarm()
        _log.info("worker stopping; waiting up to %g s for deliveries in flight", self._drain_s)
        limit = threading.Timer(self._drain_s, self._end_drain)
        limit.daemon = True
        limit.start()

    def _end_drain(self) -> None:
        _log.warning("drain timeout exceeded; unfinished deliveries are sent again when their leases expire")
        self._end_now(os.EX_CONFIG if self._error else 0)

    def _end_now(self, status: int) -> None:
        """Kill the scripts and exit immediately, without waiting for anything else."""
        self._groups.kill_all()
        os._exit(status)

    def _build(self, hostname: str, slots: int, delivery_task: DeliveryTask) -> Any:
        # They warn of pickle as root, while Courier accepts only JSON, and about a setting that Courier sets.
        for category in (SecurityWarning, CPendingDeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        signals.setup_logging.connect(_keep_logging)
        signals.worker_shutting_down.connect(self._stopping)
        remote_control.unregister_others()
        _register(self._app, delivery_task)
        # Always consume the default queue, too, so that a worker without integrations runs and waits for some.
        idle = Queue(self._app.conf.task_default_queue)
        self._app.conf.task_queues = [idle, *map(queue, sorted(self.integrations.ids()))]
        self._app.steps["worker"].add(_maintenance_step(self._maintenance))
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
        """Make the running consumer consume exactly these integrations' queues. Called by the maintenance thread."""
        consumer = self._worker.consumer
        known = self._app.amqp.queues
        # `call_soon` hands each change to the consumer's own thread; its channel is not safe for other threads.
        for integration_id in ids:
            if queue_name(integration_id) not in known.consume_from:
                known.add(queue(integration_id))
                consumer.call_soon(consumer.add_task_queue, queue_name(integration_id))
        ours = {queue_name(i) for i in ids} | {self._app.conf.task_default_queue}
        for name in set(known.consume_from) - ours:
            consumer.call_soon(consumer.cancel_task_queue, name)


def _maintenance_step(maintenance: Maintenance) -> type[bootsteps.StartStopStep]:
    """Return the bootstep class that starts `maintenance`; Celery creates the instance itself, without arguments."""
    # Read now: Celery installs its own handler before the step starts.
    ignores_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    class MaintenanceStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery ships no types
        """Starts the maintenance thread after the pool. It runs until every delivery in flight has ended."""

        requires = ("celery.worker.components:Pool",)

        def start(self, worker: Any) -> None:  # noqa: ARG002 — the bootstep's interface
            """Install the SIGHUP handler and start the maintenance thread.

            SIGHUP (a closed terminal) stops the worker like SIGTERM; under nohup the worker ignores it. This replaces
            Celery's own handler, which would restart the command or let the signal kill the process and its scripts.
            """
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores_hangup else _terminate)
            maintenance.start()

    return MaintenanceStep


def _terminate(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _noop(*_: object) -> None:
    """Replace Celery's plain text on stderr, which log readers cannot parse, and the drop counter without metrics."""


def _register(app: Celery, delivery_task: DeliveryTask) -> Task:
    @app.task(name=DELIVER, Request=NoAckRequest)  # type: ignore[untyped-decorator]  # Celery ships no types
    def deliver(
        integration_id: str, ids: Sequence[str], more: Mapping[str, Sequence[str]] | None = None
    ) -> dict[str, int]:
        return delivery_task.deliver({integration_id: ids, **(more or {})})

    return deliver


def _keep_logging(**_: object) -> None:
    """Keep Courier's logging: Celery configures none if this signal has a receiver. Also silence its line per task."""
    celery.apps.worker.safe_say = _noop  # it writes to stderr without a logger; Courier logs the stop itself
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
