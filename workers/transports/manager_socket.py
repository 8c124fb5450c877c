"""The manager's queue socket (spec 7): sends datagrams to analysisd, which sends no response.

The kernel reports whether a process listens and whether the queue has room. Nothing reports an event that is lost
later.
"""

from __future__ import annotations

import errno
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from common.errors import TransportError
from common.outcome import Reason
from workers.calls import Sent
from workers.integrations.helpers.manager_event import MAX_DATAGRAM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.calls import Datagram

_STALE: Final = frozenset({errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE})
"""Errors of a socket whose receiver has been restarted."""

_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})
_RETRY_S: Final = 0.1
"""poll(2) does not report the end of ENOBUFS, so a full queue is also retried at this interval, in seconds."""

_MEANINGS: Final = {
    errno.ENOENT: "does not exist: is the manager running, and is this worker on its host?",
    errno.ECONNREFUSED: "exists, but no process listens on it: is the manager running?",
    errno.EACCES: "is not writable for this worker's user: add the user to the group wazuh",
    errno.EPROTOTYPE: "is not a datagram socket: correct worker.socket",
}


class ManagerSocket:
    """Sends datagrams from any number of threads, one at a time: a queue that is full for one is full for all.

    A datagram waits `request_timeout_s` for room in the queue. `clock` is monotonic.
    """

    def __init__(self, path: Path, *, request_timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._time_limit_s, self._clock = path, request_timeout_s, clock
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def send(self, call: Datagram) -> Sent:
        """Send one datagram. Raises TransportError: too_large, timeout (no room) or manager_down."""
        size = len(call.payload)
        if size > MAX_DATAGRAM_BYTES:
            raise TransportError(
                Reason.TOO_LARGE, f"the event has {size} bytes; the manager reads only the first {MAX_DATAGRAM_BYTES}"
            )
        until = self._clock() + self._time_limit_s
        if not self._lock.acquire(timeout=self._time_limit_s):
            raise self._queue_full()
        try:
            self._send(call.payload, until)
        except OSError as error:
            self._close()
            raise self._error(error, size) from None
        finally:
            self._lock.release()
        return Sent()

    def _send(self, payload: bytes, until: float) -> None:
        is_fresh = self._socket is None
        try:
            self._send_when_there_is_room(payload, until)
        except OSError as error:
            if is_fresh or error.errno not in _STALE:
                raise
            self._close()
            self._send_when_there_is_room(payload, until)

    def _send_when_there_is_room(self, payload: bytes, until: float) -> None:
        connected = self._connected()
        while True:
            try:
                connected.send(payload)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            else:
                return
            left_s = until - self._clock()
            if left_s <= 0:
                raise self._queue_full()
            poll = select.poll()
            poll.register(connected, select.POLLOUT)
            poll.poll(1000 * min(left_s, _RETRY_S))

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = _connect(self._path)
        return self._socket

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _queue_full(self) -> TransportError:
        return TransportError(
            Reason.TIMEOUT, f"the manager's queue {self._path} has been full for {self._time_limit_s:g} s"
        )

    def _error(self, error: OSError, size: int) -> TransportError:
        if error.errno == errno.EMSGSIZE:
            return TransportError(Reason.TOO_LARGE, f"the kernel refuses an event of {size} bytes")
        return _down(self._path, error)


def connected(path: Path) -> socket.socket:
    """Return a socket that is connected to the manager's queue. Raises TransportError (manager_down)."""
    try:
        return _connect(path)
    except OSError as error:
        raise _down(path, error) from None


def _connect(path: Path) -> socket.socket:
    fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        fresh.setblocking(False)
        fresh.connect(str(path))
    except BaseException:
        fresh.close()
        raise
    return fresh


def _down(path: Path, error: OSError) -> TransportError:
    meaning = _MEANINGS.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
    return TransportError(Reason.MANAGER_DOWN, f"the manager's queue {path} {meaning}")
