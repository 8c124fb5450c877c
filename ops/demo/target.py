"""The demo's target: one local server that plays every service, and the manager's queue socket beside it.

It runs in a thread of its own. The first part of a path names the integration (`/slack-1/…`), so that the target
knows which block of ossec.conf a message belongs to, whatever the service. `/` is a page for people.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine, responses

from ops.demo import lookups, services
from ops.demo.faults import Troubles
from ops.demo.http_types import Received, Reply, text_reply
from ops.demo.manager import QueueSocket
from ops.demo.messages import Inbox
from ops.demo.page import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAYS: Final[dict[str, Callable[[Received], Reply]]] = {
    "slack": services.slack,
    "pagerduty": services.pagerduty,
    "shuffle": services.shuffle,
    "ticket": services.ticket,
    "virustotal": lookups.virustotal,
    "maltiverse": lookups.maltiverse,
}

HTTP_NOT_FOUND: Final = 404


class Route(NamedTuple):
    """Whose messages arrive under one name, and which service takes them."""

    integration: str
    service: str


class Target:
    """The server. `routes` maps the first part of a path to a Route and may grow while it runs."""

    def __init__(self, *, socket_path: Path, port: int = 0, troubles: Troubles | None = None) -> None:
        """Prepare it; port 0 takes a free one. `socket_path` is where the manager's socket is made."""
        self.inbox = Inbox(time.time)
        self.routes: dict[str, Route] = {}
        self._troubles = Troubles() if troubles is None else troubles
        self._socket_path = socket_path
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="target", daemon=True)
        self._ready, self._ended = threading.Event(), asyncio.Event()

    @property
    def address(self) -> str:
        """Where the page is, and what every service's address begins with."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close everything, the socket's file included, whether it was started or not."""
        if self._thread.ident is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        self._listener.close()
        self._loop.close()
        self._socket_path.unlink(missing_ok=True)

    def answer(self, name: str, request: Received) -> Reply:
        """Answer one request to the integration called `name` in the path, and record it."""
        route = self.routes.get(name)
        if route is None:
            return text_reply(HTTP_NOT_FOUND, "the demo's target knows no such integration\n")
        played = PLAYS[route.service](request)
        trouble = self._troubles.next_for(route.service) if played.accepted else None
        reply = trouble or played
        self.inbox.add(
            service=route.service,
            integration=route.integration,
            status=reply.status,
            accepted=reply.accepted,
            identity=played.identity,
            title=played.title,
            note=reply.note,
            body=played.shown,
        )
        return reply

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = HTTPServer(self._handle)
        server.add_socket(self._listener)
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: QueueSocket(self.inbox), local_addr=str(self._socket_path), family=socket.AF_UNIX
        )
        self._ready.set()
        await self._ended.wait()
        transport.close()
        server.stop()
        await server.close_all_connections()
        await asyncio.sleep(0)  # lets the transports' last callbacks run

    def _handle(self, request: Any) -> None:
        name, _, rest = request.path.lstrip("/").partition("/")
        reply = page(name, dict(parse_qsl(request.query)), self.inbox) if not rest else None
        _send(request, reply or self.answer(name, _received(request, rest)))


def _received(request: Any, rest: str) -> Received:
    return Received(
        method=request.method,
        path=rest,
        query=dict(parse_qsl(request.query)),
        headers={name.lower(): value for name, value in request.headers.get_all()},
        body=request.body,
    )


def _send(request: Any, reply: Reply) -> None:
    if not reply.status:
        request.connection.stream.close()
        return
    headers = HTTPHeaders({"Content-Type": reply.content_type, "Content-Length": str(len(reply.content))})
    for header, value in reply.headers.items():
        headers[header] = value
    start = ResponseStartLine("", reply.status, responses.get(reply.status, "Unknown"))
    with suppress(OSError):  # whoever asked may be gone
        request.connection.write_headers(start, headers, reply.content)
        request.connection.finish()
