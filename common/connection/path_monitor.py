"""Notices within seconds that the path to Redis forgot our connections, and cuts them, so that they are made anew.

A firewall that restarts, or a cable that was out, leaves connections behind that are open for us and carry nothing.
Whoever waits on one notices only at its time limit, and each connection of the process has one of its own: one after
the other, that took half a minute. Shorter limits would help, and would break every connection while Redis is merely
slow (a fork, a rewrite of its file). So one connection asks once a second; where no answer comes, a new one asks too.
Only if the new one is answered and the old one still is not, the path has forgotten it, and with it all the others.

Connections that Redis itself closed while they were idle are shut as well: they would stay in CLOSE_WAIT until their
pool needs them.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from common.connection.client import connect

if TYPE_CHECKING:
    import logging

PING_INTERVAL_S: Final = 1.0
"""Between two questions, and between two tries to connect."""

PONG_TIMEOUT_S: Final = 1.0
"""After this time without an answer a new connection is tried. Being wrong costs no more than that."""

CONNECT_TIMEOUT_S: Final = 2.0
"""A new connection that waits for longer is tried anew: TCP asks again after ever longer pauses."""

GRACE_S: Final = 0.2
"""The old connection asked before the new one, so a Redis that was slow has answered it first, or is about to."""

PINGS_PER_SCAN: Final = 10
"""Between two searches for connections that Redis closed, each of which looks at every open file of the process."""

_OPEN_FILES: Final = Path("/proc/self/fd")


class PathMonitor:
    """The connection that asks, and the thread that does so until the process ends."""

    def __init__(self, url: str, log: logging.Logger) -> None:
        """Take the address as `common.connection.client` does. Nothing is sent yet."""
        self._pool = connect(
            url, response_timeout_s=CONNECT_TIMEOUT_S, connect_timeout_s=CONNECT_TIMEOUT_S
        ).connection_pool
        self._log = log
        self._connection: Any = None
        self._ping_sent = False
        self._peers = set[Any]()
        self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def check(self) -> int:
        """Ask once. Return how many connections were cut. Raises RedisError or OSError if none can be made."""
        if self._connection is None:
            self._connection = self._connect()
        if not self._ping_sent:
            self._connection.send_command("PING", check_health=False)
            self._ping_sent = True
        if self._is_answered(PONG_TIMEOUT_S):
            return 0
        newer = self._connect()
        if self._is_answered(GRACE_S):
            newer.disconnect()
            return 0
        forgotten = shutdown_connections(self._connection._sock.getpeername(), spare=newer._sock.fileno())  # noqa: SLF001 — redis-py tells neither
        self._reset()
        self._connection = newer
        self._log.warning("the path to Redis forgot our connections; %d were cut and are made anew", forgotten)
        return forgotten

    def close(self) -> None:
        """Let go of the connection; for whoever looks without the thread."""
        self._reset()

    def _connect(self) -> Any:
        """Return a connection that has been answered; never the one that waits, which is not given back to the pool."""
        connection: Any = self._pool.make_connection()
        try:
            connection.connect()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        self._peers = {connection._sock.getpeername()}  # noqa: SLF001 — redis-py does not tell it
        return connection

    def shutdown_closed(self) -> int:
        """Shut the connections that Redis has closed. Return how many; their owners see their end as they would."""
        return sum(shutdown_connections(peer, closed_only=True) for peer in self._peers)

    def _is_answered(self, within_s: float) -> bool:
        """Say whether the answer came. A connection that broke is replaced at once: what breaks is not forgotten."""
        try:
            if not self._connection.can_read(within_s):
                return False
            self._connection.read_response()
        except (RedisError, OSError):
            self._reset()
            self._connection = self._connect()
        self._ping_sent = False
        return True

    def _reset(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
        self._connection, self._ping_sent = None, False

    def _run(self) -> None:
        """Look at once, too: what is forgotten before there is a connection to ask over is left to the time limits."""
        pause = threading.Event()
        for number in count():
            try:
                if number % PINGS_PER_SCAN == 0:
                    self.shutdown_closed()
                self.check()
            except (RedisError, OSError):
                pass  # Redis is away: whoever needs it tells of it
            except Exception:  # noqa: BLE001 — without this thread it goes on, only slower when a path forgets
                self._log.exception("the lifeline failed inside Courier")
                self._reset()
            pause.wait(PING_INTERVAL_S)


def shutdown_connections(peer: Any, *, spare: int = -1, closed_only: bool = False) -> int:
    """Shut all connections of this process to a peer but the one with that descriptor. Return how many that were.

    With `closed_only` only those whose other side has closed. Their owners read their end at once, in their own
    threads, whichever library they belong to. This is a view on open files as Linux gives it; elsewhere nothing is
    cut, and the time limits remain.
    """
    with suppress(OSError):
        numbers = [int(each.name) for each in _OPEN_FILES.iterdir()]
        return sum(_shutdown_if(number, peer, closed_only) for number in numbers if number != spare)
    return 0


def _shutdown_if(descriptor: int, peer: Any, closed_only: bool) -> bool:
    """Look at a copy: the number itself may belong to another file by now."""
    with suppress(OSError):
        copy = os.dup(descriptor)
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            return False
        with socket.socket(fileno=copy) as connection:
            if connection.type != socket.SOCK_STREAM or connection.getpeername() != peer:
                return False
            if not closed_only or _is_closed(connection):
                connection.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _is_closed(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))
