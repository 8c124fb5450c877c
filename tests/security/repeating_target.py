"""A target that fails in every way and repeats the request in every encoding."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from types import TracebackType

ANSWERS: Final = {
    "refused": b"HTTP/1.1 403 Forbidden",
    "client": b"HTTP/1.1 400 Bad Request",
    "server": b"HTTP/1.1 500 Internal Server Error",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/",
    "proxy": b"HTTP/1.1 502 Bad Gateway",
    "cut": b"HTTP/1.1 503 Service Unavailable",
}
"""The ways in which a reached target fails, with the whole request in its response."""

FAILURES: Final = (*ANSWERS, "malformed", "timeout", "connect", "tls")


class RepeatingTarget:
    """A server that fails in the way that the path names, and repeats the request in every encoding."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=self._listener.accept()[:1], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request or len(request) < _total(request):
                if not (chunk := connection.recv(65_536)):
                    return
                request += chunk
            self.requests.append(request)
            way = next((one for one in FAILURES if f"-{one}/".encode() in request.partition(b"\r\n")[0]), "server")
            if way == "timeout":
                connection.recv(1)
            elif way == "malformed":
                connection.sendall(b"SMTP " + request)
            else:
                body = _echo(request)
                length = len(body) + (way == "cut")
                connection.sendall(ANSWERS[way] + b"\r\nContent-Length: %d\r\n\r\n" % length + body)


def _total(request: bytes) -> int:
    head, _, _ = request.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return len(head) + 4 + (int(lengths[0].split(b":")[1]) if lengths else 0)


def _echo(request: bytes) -> bytes:
    """Return head and body and every line of them: as they are, for a URL, for JSON and in base64."""
    text = request.decode("latin-1")
    logins = [line.split()[2] for line in text.split("\r\n") if "uthorization: Basic" in line]
    parts = [text.partition("\r\n\r\n")[2][-600:], *text.partition("\r\n\r\n")[0].split("\r\n"), *logins]
    forms = [[part, quote(part, safe=""), json.dumps(part), b64encode(part.encode()).decode()] for part in parts]
    return "\n".join([*logins, *(form for four in forms for form in four)]).encode()
