"""Receives the workers' events for Flower: reconnects within seconds and knows whether it is connected.

Flower's own loop doubles its delay with each failure: after an outage of Redis it receives no events for about as long
again, and logs nothing.
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

from common.logs import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

RECONNECT_INTERVAL_S: Final = 2.0

_log = logging.getLogger("courier.flower")


class ImmediateReceiver(EventReceiver):  # type: ignore[misc]  # Celery ships no types
    """Raises if it cannot connect; Celery's receiver would retry by itself, with delays of up to 30 s."""

    def __init__(self, *arguments: Any, events: ReconnectingEvents, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._events = events

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Yield a connection. Raises OperationalError if Redis is unavailable."""
        with self.create_connection() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            yield connection

    def on_consume_ready(self, *arguments: Any, **options: Any) -> None:
        """Report the connection: the subscription is active."""
        super().on_consume_ready(*arguments, **options)
        self._events.connected()


class ReconnectingEvents(Events):  # type: ignore[misc]  # Flower ships no types
    """Flower's thread that receives events."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._disconnected_at_s: float | None = time.monotonic()
        # Two threads use it, this one and the IO loop's. The worst that can happen is that a message is logged twice.
        self._no_events = Condition(_log)

    @property
    def disconnected_s(self) -> float:
        """Seconds since the connection was lost or the process started; 0 while connected."""
        at_s = self._disconnected_at_s  # read once: the other thread may set it in between
        return 0.0 if at_s is None else time.monotonic() - at_s

    def connected(self) -> None:
        """Record that events arrive."""
        self._no_events.clear("Flower receives events again", extra={"disconnected_s": round(self.disconnected_s, 1)})
        self._disconnected_at_s = None

    def run(self) -> None:
        """Receive events and reconnect every RECONNECT_INTERVAL_S, until the process ends."""
        pause = threading.Event()
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = ImmediateReceiver(connection, events=self, handlers={"*": self.on_event}, app=self.capp)
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:  # noqa: BLE001 — the thread must survive every error
                self._disconnected(error)
            pause.wait(RECONNECT_INTERVAL_S)

    async def on_enable_events(self) -> None:
        """Request events from the workers, as Flower does every five seconds, and log an error once."""
        try:
            await self.io_loop.run_in_executor(None, self.capp.control.enable_events)
        except OperationalError as error:
            self._log_once(error)
        else:
            if self._no_events.text and not self.disconnected_s:
                self.connected()

    def _disconnected(self, error: Exception) -> None:
        if self._disconnected_at_s is None:
            self._disconnected_at_s = time.monotonic()
        self._log_once(error)

    def _log_once(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._no_events.set("Flower receives no events; retrying every few seconds", extra={"error": text})
