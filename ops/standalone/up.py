"""`courier up`: the whole system as one foreground command, for a small manager."""

from __future__ import annotations

import logging
import os
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec

from common.settings.units import format_duration
from ops.standalone import state_dir
from ops.standalone.addresses import address, console_address
from ops.standalone.child import Child
from ops.standalone.embedded_redis import EmbeddedServer, free_port, is_free
from ops.standalone.supervisor import Interrupted, Supervisor, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from common.settings.load import Settings

STOP_LIMIT_S: Final = 15.0
"""How long the workers may take to stop. Less SCRIPT_STOP_S it is longer than the default of `request_timeout`."""

SCRIPT_STOP_S: Final = 3.0
"""The part of STOP_LIMIT_S in which a worker stops unfinished scripts (`process_groups.GRACE_S`) and exits."""

DRAIN: Final = "COURIER_WORKER_DRAIN_TIMEOUT"

_log = logging.getLogger("courier.up")


def run(
    settings: Settings,
    courier: Callable[[Sequence[str]], None],
    *,
    settings_file: Path | None,
    http_workers: int,
    start: str = "",
    until: Callable[[], bool] = lambda: False,
    stop_limit_s: float = STOP_LIMIT_S,
) -> None:
    """Start everything and keep it running until SIGTERM, SIGINT or SIGHUP, or until `until()` is true.

    `courier` is the command, which each process calls with its arguments. `start` is the cursor of the alert log's end
    when the command started. Raises CourierError if another `courier up` runs in the same state directory, and
    SettingsError if a process has an invalid configuration.
    """
    lock = state_dir.lock(settings.state.dir)
    password = state_dir.load_or_create_password(settings.state.dir)
    # Only the server inherits the lock: workers that outlive a killed run settle at the server of the next run.
    server = EmbeddedServer(settings.state.dir / "redis", port=None, password=password, keep_open=[lock])
    with interruptible():
        try:
            server.start()
            state_dir.write_address(settings.state.dir, server.url)
            supervisor = Supervisor(
                _parts(settings, settings_file, http_workers, start),
                courier,
                _environment(settings, stop_limit_s),
                stop_limit_s=stop_limit_s,
                close=[lock],
            )
            _watch(supervisor, server, until)
        except Interrupted as interrupted:
            _log.info("stopped", extra={"signal": str(interrupted)})
        finally:
            server.stop()
            os.close(lock)


def _watch(supervisor: Supervisor, server: EmbeddedServer, until: Callable[[], bool]) -> None:
    def is_done() -> bool:
        if server.pid is None:
            _log.error("embedded Redis exited; restarting it")
            server.start()
        return until()

    try:
        supervisor.start()
        _log.info("running", extra=supervisor.pids() | {"redis": server.pid})
        supervisor.watch(until=is_done)
    finally:
        supervisor.stop()


def _parts(settings: Settings, settings_file: Path | None, http_workers: int, start: str) -> list[Child]:
    file = ["--settings", str(settings_file)] if settings_file else []
    courier = ["--own-server", *file]
    ports = _metrics_ports(settings)
    exporter = (
        [Child("exporter", [*courier, "exporter", *next(ports)], "ops.monitoring.exporter")]
        if settings.metrics.port
        else []
    )
    workers = [
        Child(name, [*courier, "worker", "--http", "--name", name, *next(ports)], "workers.main")
        for name in ("http" if http_workers == 1 else f"http-{n + 1}" for n in range(http_workers))
    ]
    files = ["--config", str(settings.producer.config), "--alerts", str(settings.producer.alerts)]
    files += ["--node", settings.producer.node]
    port = flower_port(settings)
    _log.info("starting Flower", extra={"url": address(settings.flower, port)})
    console = msgspec.structs.replace(settings.console, port=console_port(settings))
    _log.info("starting the console", extra={"url": console_address(console)})
    pages = ["console", *files, "--console-port", str(console.port), "--flower-port", str(port)]
    local = ["worker", "--scripts", "--manager", "--name", "local"]
    producer = ["producer", *files, "--start", start]
    # The producer first: it imports least, and reads the log while the supervisor imports Celery for the others.
    return [
        Child("producer", [*courier, *producer, *next(ports)], "producer.main"),
        *workers,
        Child("local", [*courier, *local, *next(ports)], "workers.main"),
        # The modules of Flower and the console are imported in their processes alone, and last.
        Child("flower", [*courier, "flower", "--flower-port", str(port)], "workers.main"),
        Child("console", [*courier, *pages], "workers.main"),
        *exporter,
    ]


def _metrics_ports(settings: Settings) -> Iterator[list[str]]:
    """Yield the option for each process: `metrics.port` and the ports after it; 0 (off) for all if it is 0."""
    first = settings.metrics.port
    return (["--metrics-port", str(first + n if first else 0)] for n in count())


def flower_port(settings: Settings) -> int:
    """Return `flower.port`, or a free port if that is 0, or if it is the default and in use."""
    return _port(settings, "flower.port", settings.flower.address, settings.flower.port)


def console_port(settings: Settings) -> int:
    """Return `console.port`, or a free port as `flower_port` does."""
    return _port(settings, "console.port", settings.console.address, settings.console.port)


def _port(settings: Settings, name: str, address: str, port: int) -> int:
    if not port:
        return free_port()
    is_default = settings.origin[name] == state_dir.DEFAULT
    return free_port() if is_default and not is_free(address, port) else port


def _environment(settings: Settings, stop_limit_s: float) -> dict[str, str]:
    """Return the children's environment. It holds the path of the file with the Redis password, not the password.

    The drain timeout is shortened so that workers have time to stop their scripts: a killed worker leaves them running.
    """
    drain_s = min(settings.worker.drain_timeout_s, max(1.0, stop_limit_s - SCRIPT_STOP_S))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("COURIER_REDIS_", DRAIN))}
    return ours | {
        "COURIER_REDIS_URL_FILE": str(settings.state.dir / state_dir.ADDRESS_FILE),
        "COURIER_STATE_DIR": str(settings.state.dir),
        DRAIN: format_duration(drain_s),
    }
