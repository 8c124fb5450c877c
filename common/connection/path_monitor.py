"""Detects within seconds that the network dropped the connections to Redis, and closes them so that clients reconnect.

A restarted firewall or an unplugged cable leaves connections that are open on our side but carry no data. Without this
monitor each connection fails only at its own timeout, one after the other, which took half a minute. Shorter timeouts
would also break all connections while Redis is only slow (a fork, a rewrite of its append-only file).

So the monitor sends a PING over one connection once a second. If no response comes, it also sends one over a new
connection. Only if the new one gets a response and the old one still does not, the path dropped the old connection,
and with it all others of the process.

The monitor also shuts connections that Redis closed while they were idle: otherwise they stay in CLOSE_WAIT until their
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
from common.connection.urls import LOCAL_SCHEME

if TYPE_CHECKING:
    import logging

PING_INTERVAL_S: Final = 1.0
"""Time between two PINGs, and between two attempts to connect."""

PONG_TIMEOUT_S: Final = 1.0
"""After this time without a response the monitor opens a new connection. A false alarm costs only that connection."""

CONNECT_TIMEOUT_S: Final = 2.0
"""After this time a new attempt to connect starts: TCP itself retries after ever longer delays."""

GRACE_S: Final = 0.2
"""Extra time for the old connection: its PING was sent first, so a slow Redis responds to it first, or very soon."""

PINGS_PER_SCAN: Final = 10
"""PINGs between two scans for connections that Redis closed. A scan checks every open file of the process."""

_OPEN_FILES: Final = Path("/proc/self/fd")


class PathMonitor:
    """The monitored connection, and the daemon thread that checks it until the process exits."""

    def __init__(self, url: str, log: logging.Logger) -> None:
        """`url` is as for `common.connection.client.connect`. Nothing is sent yet."""
        self._url = url
        self._pool = connect(
            url, response_timeout_s=CONNECT_TIMEOUT_S, connect_timeout_s=CONNECT_TIMEOUT_S
        ).connection_pool
        self._log = log
        self._connection: Any = None
        self._ping_sent = False
        self._peers = set[Any]()
        self._thread = threading.Thread(target=self._run, name="redis-path-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread, unless Redis has a socket file: its connections cross no network."""
        if not self._url.startswith(f"{LOCAL_SCHEME}:"):
            self._thread.start()

    def check(self) -> int:
        """Check once; return the number of closed connections. Raises RedisError or OSError if it cannot connect."""
        if self._connection is None:
            self._connection = self._connect()
        if not self._ping_sent:
            self._connection.send_command("PING", check_health=False)
            self._ping_sent = True
        if self._has_response(PONG_TIMEOUT_S):
            return 0
        newer = self._connect()
        if self._has_response(GRACE_S):
            newer.disconnect()
            return 0
        closed = shutdown_connections(self._connection._sock.getpeername(), spare=newer._sock.fileno())  # noqa: SLF001 — redis-py exposes neither
        self._reset()
        self._connection = newer
        self._log.warning("network dropped the connections to Redis; reconnecting", extra={"connections": closed})
        return closed

    def close(self) -> None:
        """Close the connection; for callers of `check` that do not use the thread."""
        self._reset()

    def _connect(self) -> Any:
        """Return a new connection that got a response to a PING. It never comes from the pool's used connections."""
        connection: Any = self._pool.make_connection()
        try:
            connection.connect()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except BaseException:
            connection.disconnect()
            raise
        self._peers = {connection._sock.getpeername()}  # noqa: SLF001 — redis-py does not expose it
        return connection

    def shutdown_closed(self) -> int:
        """Shut the connections that Redis closed; return their number. Their owners see a normal end of connection."""
        return sum(shutdown_connections(peer, closed_only=True) for peer in self._peers)

    def _has_response(self, within_s: float) -> bool:
        """Return whether the PING got a response. Replaces a broken connection: an error is not a dropped path."""
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
        """Check at once: connections dropped before the monitor has its own fail only at their timeouts."""
        pause = threading.Event()
        for number in count():
            try:
                if number % PINGS_PER_SCAN == 0:
                    self.shutdown_closed()
                self.check()
            except (RedisError, OSError):
                pass  # Redis is unavailable: the code that needs it logs this
            except Exception:  # noqa: BLE001 — the process works without this thread, but detects a dropped path later
                self._log.exception("internal error in the Redis path monitor")
                self._reset()
            pause.wait(PING_INTERVAL_S)


def shutdown_connections(peer: Any, *, spare: int = -1, closed_only: bool = False) -> int:
    """Shut all connections of this process to `peer`, except the one with descriptor `spare`. Return their number.

    With `closed_only` only those that the peer closed. Their owners, of whichever library, then read the end of the
    connection at once in their own threads. This needs /proc/self/fd of Linux; on other systems nothing is shut, and
    the timeouts apply.
    """
    with suppress(OSError):
        numbers = [int(each.name) for each in _OPEN_FILES.iterdir()]
        return sum(_shutdown_if(number, peer, closed_only) for number in numbers if number != spare)
    return 0


def _shutdown_if(descriptor: int, peer: Any, closed_only: bool) -> bool:
    """Shut one connection if it matches. Works on a copy: the descriptor may belong to another file by now."""
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
