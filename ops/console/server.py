"""Serves the console in this process until a signal stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets

from common.errors import SettingsError
from common.health.state_file import HealthFile
from common.logs import Condition
from ops.console.application import ConsoleApplication
from ops.monitoring import probe
from ops.standalone.addresses import console_address
from ops.standalone.child import STOP_SIGNALS

if TYPE_CHECKING:
    from tornado.iostream import IOStream

    from common.settings.load import Settings

MAX_BODY_BYTES: Final = 2**20
"""A form with the ids of 5,000 dead letters."""

MAX_HEADER_BYTES: Final = 32 * 2**10
IDLE_TIMEOUT_S: Final = 30.0
BODY_TIMEOUT_S: Final = 30.0

MAX_CONNECTIONS: Final = 800
"""Below 1,024, the usual limit of open files: when none is left, `accept` fails, and Tornado calls it for ever."""

UNREAD_TIMEOUT_S: Final = 60
"""How long a visitor may take none of what is sent: a computer that sleeps, or one that never reads."""

CLOSE_TIMEOUT_S: Final = 1.0
"""How long to wait at the end for pages that are being made."""

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


class LimitedServer(HTTPServer):
    """Closes connections beyond MAX_CONNECTIONS at once, and those of visitors that do not read."""

    _open = 0
    _full = Condition(_log)

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a connection that was accepted."""
        if self._open >= MAX_CONNECTIONS:
            self._full.set("too many connections to the console; closing new ones", extra={"most": MAX_CONNECTIONS})
            stream.close()
            return
        self._open += 1
        with suppress(OSError, AttributeError):  # only Linux has this option
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_S * 1000)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Count a connection that has ended."""
        self._open -= 1
        if self._open < MAX_CONNECTIONS // 2:
            self._full.clear("the console accepts connections again")
        super().on_close(server_conn)


async def serve(settings: Settings, sockets: list[socket.socket], stop: asyncio.Event) -> None:
    """Serve at these sockets until `stop` is set."""
    application = ConsoleApplication(settings)
    server = LimitedServer(
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
    with suppress(TimeoutError):
        await asyncio.wait_for(server.close_all_connections(), CLOSE_TIMEOUT_S)
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
