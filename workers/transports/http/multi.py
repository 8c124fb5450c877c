"""Drives libcurl's multi interface (libcurl-multi(3)) on the event loop: any number of calls at once in one thread.

libcurl names the sockets that it waits for, and the time at which it wants to be called without an event. The sockets
are in an epoll(7) of their own, of which the event loop watches one descriptor: so a call costs no handles and
selector keys of asyncio, and all sockets that are ready at the same moment are handled together.

Each multi handle keeps connections for further calls. When a call starts, libcurl closes those that their server has
closed, and those that nothing used for MAX_IDLE_S, but it does nothing between calls. So after a pause without calls
the handle is closed.

libcurl resolves host names on at most twenty threads a multi handle, which one name server that does not respond can
occupy. So calls share a multi handle only if they resolve the same name (`connections.py`).
"""

from __future__ import annotations

import asyncio
import math
import select
import threading
from typing import TYPE_CHECKING, Any, Final

import pycurl

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_IDLE_S: Final = 30
"""A connection that was not used for this time is closed when the next call starts (CURLOPT_MAXAGE_CONN)."""

CLOSE_AFTER_S: Final = 10.0
"""All connections are closed after this time without a call, or up to twice as long."""

MAX_CONNECTIONS: Final = 20_000
"""Idle connections that libcurl keeps. It is only there to replace libcurl's default, which follows the number of calls
in progress and would close connections between two floods; the limits of the integrations are much lower."""


_TIMER_RESOLUTION_S: Final = 0.001


class Multi:
    """A multi handle on the running event loop, until a pause without calls. `on_close` is called then."""

    def __init__(self, on_close: Callable[[], object]) -> None:
        self._on_close = on_close
        self._loop, self._epoll = asyncio.get_running_loop(), select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, MAX_CONNECTIONS)
        self._calls: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake_s = self._due_s = math.inf
        self._used_s = self._loop.time()
        self._closed = False
        self._pause = self._loop.call_later(CLOSE_AFTER_S, self._close_if_idle)

    async def perform(self, curl: pycurl.Curl) -> None:
        """Make the call for which `curl` is configured. Raises pycurl.error with libcurl's number and text."""
        self._multi.add_handle(curl)
        done = self._calls[curl] = self._loop.create_future()
        try:
            await done
        finally:
            del self._calls[curl]
            self._multi.remove_handle(curl)
            self._used_s = self._loop.time()

    def close(self) -> None:
        """Close all connections, unless the system refuses a thread. There must be no call in progress.

        It needs a thread because libcurl waits for the look-up of each name that it has begun, although the call has
        timed out.
        """
        self._closed = True  # first: libcurl reports the sockets that it closes, in that thread
        try:
            threading.Thread(target=self._multi.close, name="close", daemon=True).start()
        except RuntimeError:
            self._closed = False
            return
        self._pause.cancel()
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._on_close()

    def _close_if_idle(self) -> None:
        self._pause = self._loop.call_later(CLOSE_AFTER_S, self._close_if_idle)
        if not self._calls and self._loop.time() - self._used_s >= CLOSE_AFTER_S:
            self.close()

    def _watch(self, what: int, descriptor: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        """Wait for these events of a socket, or no longer (CURLMOPT_SOCKETFUNCTION(3))."""
        if self._closed:
            return
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
        if self._closed:
            return
        self._due_s = self._loop.time() + delay_ms / 1000 if delay_ms >= 0 else math.inf
        if self._due_s < self._wake_s:  # else the timer that runs is early enough; most calls only defer the time
            self._start_timer()

    def _start_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._wake_s = self._due_s
        self._timer = self._loop.call_at(self._due_s, self._on_timer)

    def _on_timer(self) -> None:
        self._wake_s = math.inf
        if self._due_s <= self._loop.time() + _TIMER_RESOLUTION_S:
            self._due_s = math.inf
            self._act([(pycurl.SOCKET_TIMEOUT, 0)])
        elif self._due_s < math.inf:
            self._start_timer()

    def _on_ready(self) -> None:
        self._act(self._epoll.poll(0))

    def _act(self, ready: Sequence[tuple[int, int]]) -> None:
        """Let libcurl handle these events, and end the calls that are done."""
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


def _as_curl_events(events: int) -> Any:
    readable = pycurl.CSELECT_IN if events & (select.EPOLLIN | select.EPOLLHUP) else 0
    writable = pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
    return readable | writable | (pycurl.CSELECT_ERR if events & select.EPOLLERR else 0)
