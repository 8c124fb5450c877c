"""The idle connections of a worker, shared by all integrations that call the same host.

With connections of its own for each of 100 integrations a worker kept 1,900 after a flood, of which it needs 90.
One that its server closed is closed here within a second, not at the next call: it would stay in CLOSE_WAIT until then.
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
"""A connection that was not needed for so long is closed, as an idle thread ends."""

CHECK_INTERVAL_S: Final = 5.0


class ConnectionPool:
    """Lends connections to any number of threads. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: dict[str, deque[tuple[float, Connection]]] = {}
        self._looked_at_s = clock()

    @contextmanager
    def acquire(self, origin: str) -> Iterator[Connection]:
        """Lend the connection to `origin` (scheme, host and port) that was used last, or a new one.

        So there are no more than calls run at once. What it trusts and which proxy it takes is for each call to say:
        libcurl does not use a connection that was made with another.
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
            if now_s - self._looked_at_s >= CHECK_INTERVAL_S:
                self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that their server closed, and those that were not needed for IDLE_S."""
        self._looked_at_s = now_s = self._clock()
        for idle in tuple(self._idle.values()):
            for _ in range(len(idle)):
                try:
                    since_s, connection = idle.popleft()  # nobody else uses it while it is looked at
                except IndexError:  # other threads take and give at any moment
                    break
                if since_s < now_s - IDLE_S or connection.is_closed():
                    connection.close()
                else:
                    idle.append((since_s, connection))
