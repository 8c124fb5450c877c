"""The services that the Compose system calls, in a container of Courier's own image.

    python target.py FOLDER

Each accepted message becomes a line `SERVICE ID` in FOLDER/messages. The file outlives the container, so that messages
from before a `docker compose down` still count after the `up`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ops.demo import lookups, services
from ops.demo.http_types import Received, Reply

LATENCY_S = 0.01
PLAYS = {"slack": services.slack, "ticket": services.ticket, "virustotal": lookups.virustotal}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    messages: Path
    lock = threading.Lock()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        name, _, rest = url.path.lstrip("/").partition("/")
        received = Received(
            method=self.command,
            path=rest,
            query=dict(parse_qsl(url.query)),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=body,
        )
        time.sleep(LATENCY_S)
        reply = PLAYS[name](received)
        if reply.accepted:
            with self.lock, self.messages.open("a") as file:
                file.write(f"{name} {reply.identity}\n")
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


if __name__ == "__main__":
    Handler.messages = Path(sys.argv[1]) / "messages"
    print(json.dumps({"plays": list(PLAYS)}), flush=True)
    Server(("", 8080), Handler).serve_forever()
