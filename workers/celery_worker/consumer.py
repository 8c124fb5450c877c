"""Celery's consumer, which connects again within a second or two of Redis's return, however long it was away.

Celery's own waits 2 s longer after each try in vain, up to half a minute: after two minutes without Redis a worker
would go on being deaf for as long. That is kind to a broker of thousands of clients; Redis bears a try a second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

if TYPE_CHECKING:
    from kombu import Connection

RETRY_DELAY_S: Final = 1.0

_log = logging.getLogger("courier.worker")


class FixedDelayConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """A consumer whose pause between two tries to connect does not grow, and which tells of the first one only."""

    def ensure_connected(self, conn: Connection) -> Any:
        """Return the connection once it is made, or end when the worker is told to stop."""
        told = False

        def tell_once(error: Exception, _pause_s: float) -> None:
            nonlocal told
            if not told:
                _log.error("no connection for tasks: %s; trying again every second", error)
            told = True

        made = conn.ensure_connection(tell_once, interval_start=RETRY_DELAY_S, interval_step=0, callback=maybe_shutdown)
        self.first_connection_attempt = False
        return made
