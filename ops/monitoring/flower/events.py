"""How Flower receives the workers' events: it reconnects within seconds, and knows whether it is connected.

Flower's own loop doubles its pause with each failure, so that after an outage of Redis it stays blind for as long
again, and nothing says so.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from celery.events import EventReceiver
from flower.events import Events
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterator

RECONNECT_INTERVAL_S: Final = 2.0

_log = logging.getLogger("courier.flower")


class ImmediateReceiver(EventReceiver):  # type: ignore[misc]  # Celery ships no types
    """Raises when it cannot connect, where Celery's would wait for up to half a minute and try again by itself."""

    def __init__(self, *arguments: Any, events: ReconnectingEvents, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._events = events

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Yield a connection."""
        with self.create_connection() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            yield connection

    def on_consume_ready(self, *arguments: Any, **options: Any) -> None:
        """Begin to receive."""
        super().on_consume_ready(*arguments, **options)
        self._events.connected()


class ReconnectingEvents(Events):  # type: ignore[misc]  # Flower ships no types
    """Flower's thread that receives events. `blind_s` is for how long it has received none, for want of Redis."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._blind_since_s: float | None = time.monotonic()
        self._error = ""

    @property
    def blind_s(self) -> float:
        """Seconds since the connection was lost; 0 while there is one."""
        since_s = self._blind_since_s  # once: the other thread may set it meanwhile
        return 0.0 if since_s is None else time.monotonic() - since_s

    def connected(self) -> None:
        """Note that events arrive."""
        if self._error:
            _log.info("Flower receives events again", extra={"blind_s": round(self.blind_s, 1)})
        self._blind_since_s, self._error = None, ""

    def run(self) -> None:
        """Receive until the process ends."""
        pause = threading.Event()
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = ImmediateReceiver(connection, events=self, handlers={"*": self.on_event}, app=self.capp)
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:  # noqa: BLE001 — whatever broke it, the thread must go on
                self._lost(error)
            pause.wait(RECONNECT_INTERVAL_S)

    async def on_enable_events(self) -> None:
        """Ask the workers for events, as Flower does every five seconds; log once what is in the way."""
        try:
            await self.io_loop.run_in_executor(None, self.capp.control.enable_events)
        except OperationalError as error:
            self._log_once(error)
        else:
            if self._error and not self.blind_s:
                self.connected()

    def _lost(self, error: Exception) -> None:
        if self._blind_since_s is None:
            self._blind_since_s = time.monotonic()
        self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        if not self._error:
            _log.warning("Flower receives no events: %s; trying again every few seconds", error)
        self._error = str(error) or type(error).__name__
