"""Drives libcurl's multi interface (libcurl-multi(3)) on the event loop: any number of calls at once in one thread.

libcurl names the sockets that it waits for, and the time at which it wants to be called without an event. The sockets
are in an epoll(7) of their own, of which the event loop watches one descriptor: so a call costs no handles and
selector keys of asyncio, and all sockets that are ready at the same moment are handled together.

libcurl keeps the connections for further calls. When a call starts, it closes those that their server has closed, and
those that nothing used for MAX_IDLE_S, but it does nothing between calls. So after a pause without calls all of them
are closed.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Any, Final

import pycurl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from common.settings.schema import Policy

MAX_IDLE_S: Final = 30
"""A connection that was not used for this time is closed when the next call starts (CURLOPT_MAXAGE_CONN)."""

CLOSE_AFTER_S: Final = 10.0
"""All connections are closed after this time without a call, or up to twice as long."""

MAX_CONNECTIONS: Final = 20_000
"""Idle connections that libcurl keeps. It is only there to replace libcurl's default, which follows the number of calls
in progress and would close connections between two floods; the limits of the integrations are much lower."""


class Multi:
    """Makes calls over shared connections. Use it on one event loop, the one of the first call."""

    def __init__(self) -> None:
        self._multi: pycurl.CurlMulti | None = None
        self._epoll: select.epoll
        self._loop: asyncio.AbstractEventLoop
        self._calls: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._watched: set[int] = set()
        self._timer: asyncio.Handle | None = None
        self._used_s = 0.0

    async def perform(self, curl: pycurl.Curl) -> None:
        """Make the call for which `curl` is configured. Raises pycurl.error with libcurl's number and text."""
        multi = self._multi or self._open()
        multi.add_handle(curl)
        done = self._calls[curl] = self._loop.create_future()
        try:
            await done
        finally:
            del self._calls[curl]
            multi.remove_handle(curl)
            self._used_s = self._loop.time()

    @property
    def is_open(self) -> bool:
        """Whether there may be connections."""
        return self._multi is not None

    def close(self) -> None:
        """Close all connections. There must be no call in progress."""
        if self._multi is None:
            return
        self._multi.close()
        self._set_timer(-1)
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._multi = None
        self._watched.clear()

    def _open(self) -> pycurl.CurlMulti:
        self._loop, self._epoll = asyncio.get_running_loop(), select.epoll()
        multi = self._multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, MAX_CONNECTIONS)
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)
        self._loop.call_later(CLOSE_AFTER_S, self._close_idle)
        return multi

    def _close_idle(self) -> None:
        if not self._calls and self._loop.time() - self._used_s >= CLOSE_AFTER_S:
            self.close()
        else:
            self._loop.call_later(CLOSE_AFTER_S, self._close_idle)

    def _watch(self, what: int, descriptor: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        """Wait for these events of a socket, or no longer (CURLMOPT_SOCKETFUNCTION(3))."""
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._epoll.unregister(descriptor)
            return
        events = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (select.EPOLLOUT if what & pycurl.POLL_OUT else 0)
        if descriptor in self._watched:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
            self._watched.add(descriptor)

    def _set_timer(self, delay_ms: int) -> None:
        """Call libcurl after this time; -1 means that it need not be called (CURLMOPT_TIMERFUNCTION(3))."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if delay_ms == 0:  # not at once: libcurl must not be called from its own callback
            self._timer = self._loop.call_soon(self._on_timer)
        elif delay_ms > 0:
            self._timer = self._loop.call_later(delay_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._act([(pycurl.SOCKET_TIMEOUT, 0)])

    def _on_ready(self) -> None:
        self._act(self._epoll.poll(0))

    def _act(self, ready: Sequence[tuple[int, int]]) -> None:
        """Let libcurl handle these events, and end the calls that are done."""
        assert self._multi is not None  # noqa: S101 — `close` removes what calls this
        try:
            for descriptor, events in ready:
                self._multi.socket_action(descriptor, _as_curl_events(events))
            left = 1
            while left:
                left, succeeded, failed = self._multi.info_read()
                for curl in succeeded:
                    self._calls[curl].set_result(None)
                for curl, code, text in failed:
                    self._calls[curl].set_exception(pycurl.error(code, text))
        except Exception as error:  # noqa: BLE001 — libcurl would not call us again: no call may wait for ever
            for done in self._calls.values():
                if not done.done():
                    done.set_exception(RuntimeError(f"libcurl's multi interface failed: {type(error).__name__}"))


class Connections:
    """The connections of a worker. Integrations share them, except those with `deny_private`.

    libcurl would lend a connection to any integration that calls the same host, and with it an address that
    `deny_private` forbids. So integrations with `deny_private` share connections only with those that allow the same
    addresses.
    """

    def __init__(self) -> None:
        self._by_addresses: dict[Sequence[IPv4Network | IPv6Network] | None, Multi] = {}

    def of(self, policy: Policy) -> Multi:
        """Return what makes the calls of integrations with this policy."""
        return self._by_addresses.setdefault(policy.allow_private if policy.deny_private else None, Multi())

    def close(self) -> None:
        """Close all connections. There must be no call in progress."""
        for multi in self._by_addresses.values():
            multi.close()


def _as_curl_events(events: int) -> Any:
    readable = pycurl.CSELECT_IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0
    writable = pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
    return readable | writable | (pycurl.CSELECT_ERR if events & select.EPOLLERR else 0)
