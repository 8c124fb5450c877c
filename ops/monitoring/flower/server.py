"""Runs Flower in this process with Courier's settings. It shows workers, queues and tasks, and changes nothing.

Flower keeps its tasks in memory only, or also on disk if `flower.db` is set. Tasks hold ids, never alerts.
"""

from __future__ import annotations

import logging
import secrets
import signal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from flower.urls import settings as handler_settings
from flower.utils import prepend_url
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.options import options

from common.broker.celery_app import make_app
from common.connection.client import connect
from common.connection.path_monitor import PathMonitor
from common.connection.wait import wait_until_available
from common.errors import SettingsError
from common.health.state_file import HealthFile
from common.ledger import Ledger
from ops.monitoring import probe
from ops.monitoring.flower import pages, socket_broker
from ops.monitoring.flower.browser import GuardedFlower
from ops.monitoring.flower.event_gate import EventGate
from ops.monitoring.flower.events import ReconnectingEvents
from ops.standalone.addresses import address
from ops.standalone.child import STOP_SIGNALS

if TYPE_CHECKING:
    from common.settings.load import Settings
    from common.settings.served import FlowerSettings

INSPECT_INTERVAL_MS: Final = 30_000
"""Flower reads the workers' queues only at its start; workers may start later or serve more queues. Each time, every
worker answers six queries, which is most of the CPU time of an idle Flower."""

SAVE_INTERVAL_MS: Final = 60_000
"""What a killed Flower loses of its tasks; writing 10,000 tasks takes a second."""

OFFLINE_TTL_S: Final = 3600
"""Each new container has a new worker name; without a limit, the old names would fill the page."""

REDIS_TIMEOUT_S: Final = 3.0
"""Timeout of the health check's request to Redis; `courier health` waits five seconds in total."""

COLUMNS: Final = "name,uuid,state,args,result,received,runtime,worker"

_log = logging.getLogger("courier.flower")


def run(settings: Settings) -> None:
    """Serve until one of STOP_SIGNALS.

    Raises SettingsError if the port is in use, LedgerMisconfigured for a wrong password.
    """
    url = settings.redis.connection_url.reveal()
    with connect(url) as client:
        wait_until_available(Ledger(client).check_server, _log)
    _configure(settings.flower)
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)  # it warns about each worker that is slow to respond
    flower = _build(url, settings.flower)
    PathMonitor(url, _log).start()
    for signum in (s for s in STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN):  # nohup ignores SIGHUP
        # Stop the loop between two callbacks: an exception inside one could leave a thread that nothing stops.
        flower.io_loop.asyncio_loop.add_signal_handler(signum, flower.io_loop.stop)
    port = _listen(flower, settings)
    _log.info("Flower is at %s", address(settings.flower, port))
    listening = msgspec.structs.replace(settings.flower, port=port)
    HealthFile(settings.health.path).keep(lambda: probe.flower(listening))
    PeriodicCallback(flower.update_workers, INSPECT_INTERVAL_MS).start()
    flower.start()
    flower.stop()


def _build(url: str, settings: FlowerSettings) -> Any:
    app = make_app(url, EventGate(_log).amqp())
    events = ReconnectingEvents(
        app,
        IOLoop.current(),
        db=options.db,
        persistent=options.persistent,
        state_save_interval=options.state_save_interval,
        enable_events=options.enable_events,
        max_workers_in_memory=options.max_workers,
        max_tasks_in_memory=options.max_tasks,
    )
    hosts = {settings.address.lower(), *settings.hosts}
    flower = GuardedFlower(capp=app, options=options, events=events, hosts=hosts, **_handler_settings(settings))
    ledger = Ledger(connect(url, response_timeout_s=REDIS_TIMEOUT_S, connect_timeout_s=REDIS_TIMEOUT_S))
    pages.install(flower, settings.url_prefix, ledger.now_ms)
    socket_broker.install()
    return flower


def _listen(flower: Any, settings: Settings) -> int:
    try:
        port: int = flower.start_http_server()
    except OSError as error:
        raise SettingsError(
            f"Flower cannot listen on {settings.flower.address}:{settings.flower.port} "
            f"({settings.origin['flower.port']}): {error.strerror or error}; set another flower.port, or 0"
        ) from None
    return port


def _configure(flower: FlowerSettings) -> None:
    options.address = flower.address
    options.port = flower.port
    options.read_only = flower.read_only
    options.max_tasks = flower.max_tasks
    options.tasks_columns = COLUMNS
    options.basic_auth = [flower.basic_auth.reveal()] if flower.basic_auth else []
    options.purge_offline_workers = OFFLINE_TTL_S
    options.xheaders = flower.behind_proxy
    if flower.db:
        options.persistent, options.db, options.state_save_interval = True, str(flower.db), SAVE_INTERVAL_MS
    if flower.url_prefix:
        options.url_prefix = flower.url_prefix


def _handler_settings(flower: FlowerSettings) -> dict[str, Any]:
    """Return the settings that Flower's command passes to its handlers, with a random cookie secret."""
    ours = dict(handler_settings) | {"debug": False, "cookie_secret": secrets.token_urlsafe(48)}
    if flower.url_prefix:
        for name in ("login_url", "static_url_prefix"):
            ours[name] = prepend_url(ours[name], flower.url_prefix)
    return ours
