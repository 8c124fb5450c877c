"""Sends syslog messages over one connection for each integration.

No collector says that it has read a message (RFC 5424 and 5425 have no response), so this is what a delivery means:

    before the send   a connection that the collector has closed, or half-closed, is replaced; nothing is lost by it
    after the send    the kernel of the collector's machine has acknowledged every byte, and the collector has not
                      closed the connection until then
    otherwise         the connection is dropped, and all messages of the call are sent again: some may arrive twice

What remains: messages that the collector's machine has acknowledged, and that the collector has not read when it ends
or its machine crashes, are lost. Only a protocol with responses, such as splunk-hec, can avoid that.

Calls of an integration go one after the other, each in a thread of its own that blocks. So a collector that hangs costs
its own integration a socket and a thread, and no other one anything.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from common.errors import TransportError
from common.outcome import Reason
from workers.calls import Sent
from workers.transports.syslog.connection import Connection
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from common.settings.schema import Policy
    from workers.calls import SyslogFrames

IDLE_S: Final = 60.0
"""An idle connection is closed, so that an integration that was removed or changed keeps none."""


class _Line:
    """The connection of one integration, for one thread at a time."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._connection: Connection | None = None
        self._is_overdue = False

    def send(self, call: SyslogFrames) -> Sent:
        """Send messages; connect before if necessary. Raises TransportError."""
        limit_s = self._policy.request_timeout_s
        until, self._is_overdue = time.monotonic() + limit_s, False
        try:
            self._send(call, until)
        except OSError as error:
            self.close()
            if isinstance(error, TimeoutError) or self._is_overdue:
                detail = f"{call.address} did not accept the messages in time; the limit is {limit_s:g} s"
                raise TransportError(Reason.TIMEOUT, detail) from None
            words = error.strerror or str(error) or type(error).__name__
            raise TransportError(Reason.CONNECTION_FAILED, f"{call.address}: {words}") from None
        except BaseException:
            self.close()
            raise
        return Sent()

    def _send(self, call: SyslogFrames, until: float) -> None:
        if self._connection and not self._connection.is_open():
            self.close()
        if not self._connection:
            self._connection = Connection(self._policy)
            self._connection.open(call, until)
        self._connection.send(call.body, until)

    def abort(self) -> None:
        """End a call in progress; may be called from another thread."""
        self._is_overdue = True
        if connection := self._connection:
            connection.abort()

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None


class SyslogTransport:
    """Sends the messages of one integration."""

    def __init__(self, policy: Policy) -> None:
        self._limit_s = policy.request_timeout_s
        self._line = _Line(policy)
        self._threads = InThreads(self._line)
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def send(self, call: SyslogFrames) -> Sent:
        """Send messages when it is their turn. Raises TransportError."""
        try:
            async with asyncio.timeout(self._limit_s):
                await self._turn.acquire()
        except TimeoutError:
            detail = f"{call.address} accepted nothing for {self._limit_s:g} s"
            raise TransportError(Reason.TIMEOUT, detail) from None
        loop = asyncio.get_running_loop()
        if self._idle:
            self._idle.cancel()
        # The limits of the socket are for each of its calls; a peer that sends byte by byte would prolong them.
        overdue = loop.call_later(self._limit_s, self._line.abort)
        try:
            sent: Sent = await self._threads.send(call)
            return sent
        finally:
            overdue.cancel()
            self._idle = loop.call_later(IDLE_S, self.close)
            self._turn.release()

    def close(self) -> None:
        """Close the connection. No call may be in progress."""
        if self._idle:
            self._idle.cancel()
        self._line.close()
