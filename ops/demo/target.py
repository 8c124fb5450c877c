"""The demo's target: one local server that simulates every service and the manager's queue socket.

It runs in its own thread. The first part of a path is the integration's id (`/slack-1/…`), so that the target knows to
which block of ossec.conf a message belongs. `/` is the page that shows the messages.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import suppress
from http.client import responses
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine

from ops.demo import lookups, services
from ops.demo.cases import CASES
from ops.demo.chats import CHATS
from ops.demo.events import EVENTS, syslog
from ops.demo.faults import Faults
from ops.demo.http_types import Received, Reply, text_reply
from ops.demo.listeners import listen, mail_protocol, syslog_protocol
from ops.demo.manager import QueueSocket
from ops.demo.messages import Inbox
from ops.demo.notices import NOTICES, email
from ops.demo.page import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICES: Final[dict[str, Callable[[Received], Reply]]] = {
    "slack": services.slack,
    "pagerduty": services.pagerduty,
    "shuffle": services.shuffle,
    "ticket": services.ticket,
    "virustotal": lookups.virustotal,
    "maltiverse": lookups.maltiverse,
    **CHATS,
    **CASES,
    **NOTICES,
    **EVENTS,
}
"""Each service that uses HTTP, by the name in Courier's configuration; `ticket` is the sample's script."""

HTTP_NOT_FOUND: Final = 404


class Route(NamedTuple):
    """The integration of a path, and the service that receives its messages."""

    integration: str
    service: str


class Target:
    """The server. `routes` maps the first part of a path to a Route and may grow while it runs.

    `console` is the address of Courier's console, to which the page has a link.
    """

    def __init__(self, *, socket_path: Path, port: int = 0, faults: Faults | None = None) -> None:
        """Bind the port, 0 for a free one. `start` creates the manager's socket at `socket_path`."""
        self.inbox = Inbox(time.time)
        self.routes: dict[str, Route] = {}
        self.console = ""
        self.faults = Faults() if faults is None else faults
        self._socket_path = socket_path
        self._listener, self._mails, self._syslog = listen(port), listen(), listen()
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="target", daemon=True)
        self._ready, self._ended = threading.Event(), asyncio.Event()

    @property
    def address(self) -> str:
        """The URL of the page, and the prefix of every service's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def places(self) -> dict[str, str]:
        """Where the sample's services are: the text for each name in angle brackets."""
        ports = {"smtp": self._mails, "syslog": self._syslog}
        return {"http": self.address} | {name: f"127.0.0.1:{one.getsockname()[1]}" for name, one in ports.items()}

    def start(self) -> None:
        """Start the thread and wait until the server accepts requests."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Stop the server and delete the socket's file; also if it was never started."""
        if self._thread.ident is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
        for one in (self._listener, self._mails, self._syslog):
            one.close()
        self._loop.close()
        self._socket_path.unlink(missing_ok=True)

    def answer(self, name: str, request: Received) -> Reply:
        """Record a request to the integration `name` and return the reply."""
        route = self.routes.get(name)
        if route is None:
            return text_reply(HTTP_NOT_FOUND, "unknown integration\n")
        answer = SERVICES[route.service](request)
        fault = self.faults.next_for(route.service) if answer.accepted else None
        reply = fault or answer
        if answer.is_recorded:
            self._record(route, answer, reply)
        return reply

    def receive(self, service: str, answer: Reply) -> None:
        """Record a message that did not come by HTTP: to the integration with this service."""
        for route in self.routes.values():
            if route.service == service:
                self._record(route, answer, answer)

    def _record(self, route: Route, answer: Reply, reply: Reply) -> None:
        for one in (answer, *answer.more):
            self.inbox.add(
                service=route.service,
                integration=route.integration,
                status=reply.status,
                accepted=reply.accepted,
                identity=one.identity,
                title=one.title,
                note=reply.note or one.note,
                body=one.shown,
            )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = HTTPServer(self._handle)
        server.add_socket(self._listener)
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: QueueSocket(self.inbox), local_addr=str(self._socket_path), family=socket.AF_UNIX
        )
        mails = await self._loop.create_server(
            mail_protocol(self._loop, lambda content: self.receive("email", email(content))), sock=self._mails
        )
        messages = await self._loop.create_server(
            syslog_protocol(lambda message: self.receive("syslog", syslog(message))), sock=self._syslog
        )
        self._ready.set()
        await self._ended.wait()
        for one in (transport, mails, messages, server):
            one.stop() if isinstance(one, HTTPServer) else one.close()
        await server.close_all_connections()
        await asyncio.sleep(0)  # lets the transports' last callbacks run

    def _handle(self, request: Any) -> None:
        name, _, rest = request.path.lstrip("/").partition("/")
        reply = page(name, dict(parse_qsl(request.query)), self.inbox, console=self.console) if not rest else None
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
    with suppress(OSError):  # the client may have closed the connection
        request.connection.write_headers(start, headers, reply.content)
        request.connection.finish()
