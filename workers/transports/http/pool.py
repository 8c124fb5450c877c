"""The idle connections of a worker. All integrations that call the same host share them.

With separate connections for each of 100 integrations, a worker kept 1,900 after a flood of alerts; it needs 90. The
pool closes a connection within a second after its server has; otherwise it stays in CLOSE_WAIT until the next call.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from workers.transports.http.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDLE_S: Final = 30.0
"""An unused connection is closed after this time, and so is an idle thread."""

CHECK_INTERVAL_S: Final = 5.0


class ConnectionPool:
    """Lends connections to any number of threads. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: dict[str, deque[tuple[float, Connection]]] = {}
        self._checked_s = clock()

    @contextmanager
    def acquire(self, origin: str) -> Iterator[Connection]:
        """Lend the most recently used connection to `origin` (scheme, host and port), or a new one.

        So there are at most as many connections as there are concurrent calls. Each call sets its own trust store and
        proxy: libcurl does not reuse a connection that was made with different ones.
        """
        idle = self._idle.setdefault(origin, deque())
        try:
            _, connection = idle.pop()
        except IndexError:
            connection = Connection()
        try:
            yield connection
        finally:
            now_s = self._clock()
            idle.append((now_s, connection))
            if now_s - self._checked_s >= CHECK_INTERVAL_S:
                self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that their server has closed, and those that were unused for IDLE_S."""
        self._checked_s = now_s = self._clock()
        for idle in tuple(self._idle.values()):
            for _ in range(len(idle)):
                try:
                    since_s, connection = idle.popleft()  # taken out, so that no other thread uses it during the check
                except IndexError:  # other threads take and return connections at any time
                    break
                if since_s < now_s - IDLE_S or connection.is_closed():
                    connection.close()
                else:
                    idle.append((since_s, connection))
