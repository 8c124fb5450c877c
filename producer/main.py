"""The producer process: builds its parts from the settings, handles signals and runs the loop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from common.broker.dispatcher import Dispatcher
from common.connection.client import connect
from common.connection.path_monitor import PathMonitor
from common.health.state_file import HealthFile
from common.ledger import Ledger
from common.malloc import trim
from common.process import ends_with_terminal
from common.registry.encryption import load_cipher
from common.registry.published import PublishedRegistry
from common.telemetry import start_tracing
from common.version import full_version
from producer.alertlog import AlertLog
from producer.config_file import ConfigFile
from producer.cursors.backup import CursorBackup
from producer.cursors.signatures import CursorSigner
from producer.health import ProducerHealth
from producer.loop import Producer, Start
from producer.quarantine import Quarantine

if TYPE_CHECKING:
    from redis import Redis

    from common.settings.load import Settings
    from common.settings.served import MetricsSettings
    from common.telemetry.spans import Tracing
    from producer.metrics import ProducerMetrics

QUARANTINE_FILE: Final = "passed-over.jsonl"
"""The file in the state directory that keeps rejected log lines."""

_log = logging.getLogger("courier.producer")


def run(settings: Settings, start: str) -> None:
    """Follow the alert log until SIGTERM, SIGINT or the end of its terminal.

    Without a terminal, SIGHUP reloads the configuration. `start` is the cursor of the log's end when the command was
    started. Raises ConfigError, SettingsError and LedgerMisconfigured for errors that a retry cannot fix.
    """
    source = AlertLog.of(settings.producer)
    url = settings.redis.connection_url.reveal()
    client = connect(url)
    vault = load_cipher(settings.state.secret_key, settings.state.dir)
    ledger, metrics = Ledger(client), _metrics(settings.metrics)
    tracing = start_tracing(settings.telemetry.otlp_endpoint, "producer")
    config = ConfigFile(settings)
    producer = Producer(
        node=settings.producer.node,
        source=source,
        config=config,
        registry=PublishedRegistry(client, vault),
        policy=config.policy,
        ledger=ledger,
        dispatcher=_dispatcher(ledger, client, tracing),
        client=client,
        quarantine=Quarantine(settings.state.dir / QUARANTINE_FILE, settings.producer.quarantine_max_bytes, time.time),
        cursor_backup=CursorBackup(settings.state.dir / f"places-{settings.producer.node}.json"),
        signer=CursorSigner(vault, settings.producer.node),
        now=time.monotonic,
        commit_delay_s=settings.producer.commit_delay_s,
        metrics=metrics,
        start=Start(start, source.at),
        health=ProducerHealth(HealthFile(settings.health.path), settings.producer.node, settings.producer.alerts),
    )
    stop = _handle_signals(producer, source)
    extra = {
        "alerts": str(settings.producer.alerts),
        "node": settings.producer.node,
        "redis": settings.redis.address,
        "version": full_version(),
    }
    PathMonitor(url, _log).start()
    trim()
    _log.info("following the alert log", extra=extra)
    with closing(source):
        producer.run(time.sleep, stop.is_set)
    if tracing:
        tracing.close()
    _log.info("producer stopped; cursors saved")


def _handle_signals(producer: Producer, source: AlertLog) -> threading.Event:
    """Return the event that SIGTERM, SIGINT or the end of the terminal sets; without a terminal, SIGHUP reloads."""
    stop = threading.Event()

    def end(_signum: int, _frame: object) -> None:
        stop.set()
        source.wake()

    def reload(_signum: int, _frame: object) -> None:
        producer.request_reload()
        source.wake()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    signal.signal(signal.SIGHUP, end if ends_with_terminal() else reload)
    return stop


def _dispatcher(ledger: Ledger, client: Redis, tracing: Tracing | None) -> Dispatcher:
    if not tracing:
        return Dispatcher(ledger, client)
    from producer.tracing import TracedDispatcher  # noqa: PLC0415 — needs OpenTelemetry, an optional dependency

    return TracedDispatcher(ledger, client, tracing)


def _metrics(settings: MetricsSettings) -> ProducerMetrics | None:
    """Serve the producer's metrics if a port is set. Raises SettingsError if it cannot listen."""
    if not settings.port:
        return None
    from common.metrics import serve  # noqa: PLC0415 — the client of Prometheus takes a tenth of the start
    from producer.metrics import ProducerMetrics  # noqa: PLC0415 — as above

    metrics = ProducerMetrics()
    serve(settings, metrics.registry)
    return metrics
