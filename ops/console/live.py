"""Keeps open pages current by server-sent events.

A topic renders the fragments of a page once for all visitors, every INTERVAL_S while somebody watches, and sends those
that changed. A fragment is an element of the page with an id; the script replaces the element. A message is JSON:

    {"html": {"tile-slack": "<li id=…>…</li>"}, "lists": {"tiles": ["tile-slack", …]}}

`lists` has the ids of the children of elements whose children come and go.
"""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from markupsafe import Markup
from tornado.iostream import StreamClosedError

from common.errors import CourierError
from ops.console.handler import PageError, PageHandler
from ops.console.rendering import harmless

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

INTERVAL_S: Final = 2.0
HEARTBEAT_S: Final = 15.0
"""A comment is sent after this time without a message, so that proxies keep the connection open."""

MAX_FOLLOWERS: Final = 200
"""Open pages. Each further one shows what it was loaded with."""

NOTICE: Final = "live-notice"
"""The element of every page for what keeps it from being current."""

_log = logging.getLogger("courier.console")


class Fragments(NamedTuple):
    """The elements of a page by their ids, and the ids of the children of its lists."""

    html: dict[str, str]
    lists: dict[str, list[str]]


class Topic:
    """The fragments of one page, for any number of followers."""

    def __init__(self, render: Callable[[], Awaitable[Fragments]], *, interval_s: float = INTERVAL_S) -> None:
        """`render` may raise CourierError, which the open pages show in the element NOTICE."""
        self._render, self._interval_s = render, interval_s
        self._version = 0
        self._changed: dict[str, tuple[int, str]] = {}
        self._lists: dict[str, list[str]] = {}
        self._next = asyncio.Event()
        self._messages: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None
        self.followers = 0

    async def follow(self) -> AsyncGenerator[str]:
        """Yield a message with all fragments, then one for each change; an empty text every HEARTBEAT_S."""
        self.followers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        seen = 0
        try:
            while True:
                if self._version > seen:
                    message, seen = self._message(seen), self._version
                    yield message
                    continue
                try:
                    await asyncio.wait_for(self._next.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield ""
        finally:
            self.followers -= 1

    async def _run(self) -> None:
        while self.followers:
            try:
                found = await self._render()
                html = found.html | {NOTICE: _notice("")}
                self._lists = found.lists
                self._changed = {one: what for one, what in self._changed.items() if one in html}
            except CourierError as error:
                html = {NOTICE: _notice(str(error))}
            except Exception:  # noqa: BLE001 — an error in one rendering must not end all streams
                _log.exception("the console cannot render a page")
                html = {NOTICE: _notice("an error of the console; see its log")}
            self._publish(html)
            await asyncio.sleep(self._interval_s)

    def _publish(self, html: dict[str, str]) -> None:
        new = {one: text for one, text in html.items() if self._changed.get(one, (0, ""))[1] != text}
        if not new:
            return
        self._version += 1
        self._changed |= {one: (self._version, text) for one, text in new.items()}
        self._messages = {}
        self._next.set()
        self._next = asyncio.Event()

    def _message(self, seen: int) -> str:
        """Return what changed after version `seen`. All followers that saw the same get the same text."""
        if seen not in self._messages:
            html = {one: text for one, (version, text) in self._changed.items() if version > seen}
            self._messages[seen] = json.dumps({"html": html, "lists": self._lists})
        return self._messages[seen]


def _notice(text: str) -> str:
    return Markup('<p id="{}" class="notice" role="status">{}</p>').format(NOTICE, harmless(text))


class LiveHandler(PageHandler):
    """The stream of one topic."""

    _task: asyncio.Task[object] | None = None

    async def show(self) -> None:
        """Send messages until the visitor leaves."""
        topics = self.application.topics
        topic = topics.get(self.path_kwargs["topic"])
        if topic is None:
            raise PageError(HTTPStatus.NOT_FOUND, "there is no such stream")
        if sum(one.followers for one in topics.values()) >= MAX_FOLLOWERS:
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_FOLLOWERS} pages are open already")
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("X-Accel-Buffering", "no")  # nginx would otherwise collect the messages
        self._task = asyncio.current_task()
        messages = topic.follow()
        try:
            async for message in messages:
                self.write(f"data: {message}\n\n" if message else ":\n\n")
                await self.flush()
        except (StreamClosedError, asyncio.CancelledError):
            pass
        finally:
            await messages.aclose()

    def on_connection_close(self) -> None:
        """Stop following at once, not with the next message."""
        if self._task:
            self._task.cancel()
