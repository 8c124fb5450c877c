"""Serves the console in this process until a signal stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

import msgspec
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets

from common.errors import SettingsError
from common.health.state_file import HealthFile
from ops.console.application import ConsoleApplication
from ops.monitoring import probe
from ops.standalone.addresses import console_address
from ops.standalone.child import STOP_SIGNALS

if TYPE_CHECKING:
    import socket

    from common.settings.load import Settings

MAX_BODY_BYTES: Final = 2**20
"""A form with the ids of 5,000 dead letters."""

MAX_HEADER_BYTES: Final = 32 * 2**10
IDLE_TIMEOUT_S: Final = 120.0
BODY_TIMEOUT_S: Final = 30.0

SAMPLE_INTERVAL_MS: Final = 10_000
"""How often the counters are read while no page is open, for the rates of the last minutes."""

_log = logging.getLogger("courier.console")


def run(settings: Settings) -> None:
    """Serve until one of STOP_SIGNALS. Raises SettingsError if the port is in use."""
    asyncio.run(_run(settings, bind(settings)))


async def _run(settings: Settings, sockets: list[socket.socket]) -> None:
    stop = asyncio.Event()
    for signum in (s for s in STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN):  # nohup ignores SIGHUP
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await serve(settings, sockets, stop)


async def serve(settings: Settings, sockets: list[socket.socket], stop: asyncio.Event) -> None:
    """Serve at these sockets until `stop` is set."""
    application = ConsoleApplication(settings)
    server = HTTPServer(
        application,
        max_body_size=MAX_BODY_BYTES,
        max_buffer_size=MAX_BODY_BYTES,
        max_header_size=MAX_HEADER_BYTES,
        idle_connection_timeout=IDLE_TIMEOUT_S,
        body_timeout=BODY_TIMEOUT_S,
    )
    server.add_sockets(sockets)
    listening = msgspec.structs.replace(settings.console, port=sockets[0].getsockname()[1])
    extra = {"read_only": application.console.logins.is_open}
    _log.info("the console is at %s", console_address(listening), extra=extra)
    HealthFile(settings.health.path).keep(lambda: probe.console(listening))
    sampling = PeriodicCallback(application.sample, SAMPLE_INTERVAL_MS)
    sampling.start()
    await stop.wait()
    sampling.stop()
    server.stop()
    application.console.close()


def bind(settings: Settings) -> list[socket.socket]:
    """Return the sockets of the console's address. Raises SettingsError."""
    address, port = settings.console.address, settings.console.port
    try:
        return bind_sockets(port, address)
    except OSError as error:
        raise SettingsError(
            f"the console cannot listen on {address}:{port} ({settings.origin['console.port']}): "
            f"{error.strerror or error}; set another console.port, or 0"
        ) from None
