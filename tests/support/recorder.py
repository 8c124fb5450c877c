"""An HTTP server in this process that records every request, and `eventually`, which waits with a deadline."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LIMIT_S = 30.0
MOST_PATIENT = 5.0


# Under another name from here on: Courier refuses variables with its prefix that are no settings.
os.environ["TEST_PATIENCE"] = os.environ.pop("COURIER_TEST_PATIENCE", os.environ.get("TEST_PATIENCE", "1"))


def patience() -> float:
    """Return the factor by which every wait of the tests is longer than on an idle machine.

    COURIER_TEST_PATIENCE (1 unless set) times the load per core, from 1 to MOST_PATIENT.
    """
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return float(os.environ["TEST_PATIENCE"]) * min(max(1.0, load), MOST_PATIENT)


def eventually(what: Callable[[], Any], *, limit_s: float = LIMIT_S) -> Any:
    """Return the result of `what` as soon as it is true; fail after the limit with its last result.

    The limit is that of an idle machine: on a busy one it is longer.
    """
    began_s = time.monotonic()
    while not (value := what()):
        waited_s = time.monotonic() - began_s
        if waited_s > limit_s * patience():
            raise AssertionError(f"still {value!r} after {waited_s:.0f} s")
        threading.Event().wait(0.02)
    return value


class Server(ThreadingHTTPServer):
    """A server in which more connections than in Python's, 5, may wait for `accept`.

    Beyond that the kernel drops what a client sends, and the client retries later and later: a worker that opens 50
    connections at once waited for some of them for more than 10 s.
    """

    request_queue_size = 512
    daemon_threads = True


class Recorder:
    """A context manager. `ids` are the alert ids of the requests in order; `status` maps a body to a status."""

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

        self._server = Server(("127.0.0.1", 0), Handler)
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
