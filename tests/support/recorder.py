"""A real HTTP server in this process that notes every request, and a way to wait for things with a deadline."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LIMIT_S = 30.0


def eventually(what: Callable[[], Any], *, limit_s: float = LIMIT_S) -> Any:
    """Return what `what` returns as soon as it is true; fail after the limit with what it was last."""
    deadline = time.monotonic() + limit_s
    while not (value := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {limit_s} s")
        threading.Event().wait(0.02)
    return value


class Recorder:
    """Use as a context. `ids` are the alert ids of what arrived, in order; `status` answers a body."""

    def __init__(self, status: Callable[[bytes], int] = lambda _body: 200, *, latency_s: float = 0.0) -> None:
        self.bodies: list[bytes] = []
        self._ids: list[str] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                threading.Event().wait(latency_s)
                answer = status(body)
                if answer == 200:
                    recorder.bodies.append(body)
                self.send_response(answer)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def ids(self) -> list[str]:
        self._ids += [json.loads(body)["attachments"][0]["ts"] for body in self.bodies[len(self._ids) :]]
        return self._ids
