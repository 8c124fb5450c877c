"""A cheap target that responds after a given time, so that a benchmark measures Courier and not its target.

    python -m ops.bench.target PORT LATENCY_MS

It implements a minimum of HTTP/1.1: every request with a Content-Length gets `200 ok` on a persistent connection. These
requests get a JSON response at once: `GET /count` (the number of requests and distinct alert ids, the times of the
first and the last), `GET /ids` (arrivals by alert id), `GET /times` (first arrival by alert id) and `GET /taken`
(arrivals by alert id since the last call, which it then deletes, so that its memory stays constant in a run of
millions).

/hang never responds, /fail responds with 500, /large with 500 and a page of 1 MiB, /other at once; requests to these
are only counted, by path.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
FAILURE: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
PAGE: Final = b"<p>The service is not available. Please try again later.</p>\n" * (2**20 // 61)
LARGE: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
SPECIAL_PATHS: Final = {b"/hang": b"", b"/fail": FAILURE, b"/large": LARGE, b"/other": ANSWER}
"""Path → response; empty for no response."""

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ID: Final = re.compile(rb'"(?:ts|id)": "(\d+\.\d+)"')


class Record:
    """Counts of what has arrived; times are seconds since the epoch."""

    def __init__(self) -> None:
        self.requests = 0
        self.ids: Counter[str] = Counter()
        self.times: dict[str, float] = {}
        self.by_path: Counter[str] = Counter()
        self.first_s = self.last_s = 0.0

    def note(self, body: bytes) -> None:
        """Count one request."""
        now_s = time.time()
        self.requests += 1
        self.first_s = self.first_s or now_s
        self.last_s = now_s
        if found := _ID.search(body):
            alert_id = found[1].decode()
            self.ids[alert_id] += 1
            self.times.setdefault(alert_id, now_s)

    def summary(self) -> bytes:
        """Return the counts as an HTTP response."""
        counts = {
            "requests": self.requests,
            "distinct": len(self.ids),
            "first_s": self.first_s,
            "last_s": self.last_s,
            "by_path": self.by_path,
        }
        return _as_answer(counts)

    def every_id(self) -> bytes:
        """Return each id with its count as an HTTP response."""
        return _as_answer(self.ids)

    def every_time(self) -> bytes:
        """Return the first arrival of each id as an HTTP response."""
        return _as_answer(self.times)

    def take_ids(self) -> bytes:
        """Return each id with its count as an HTTP response, and delete all ids and times."""
        answer = _as_answer(self.ids)
        self.ids.clear()
        self.times.clear()
        return answer


def _as_answer(counts: Mapping[str, Any]) -> bytes:
    body = json.dumps(counts).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Connection(asyncio.Protocol):
    """One persistent connection, without pipelining."""

    def __init__(self, record: Record, latency_s: float) -> None:
        self._record, self._latency_s = record, latency_s
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for the responses."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 — this protocol is used for streams only
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            head, body = self._buffer[:end], self._buffer[end + 4 : total]
            self._buffer = self._buffer[total:]
            method, path, _ = head.split(b" ", 2)
            self._take(method, path, body)

    def _take(self, method: bytes, path: bytes, body: bytes) -> None:
        if method == b"GET":
            record = self._record
            responses = {b"/ids": record.every_id, b"/times": record.every_time, b"/taken": record.take_ids}
            self._transport.write(responses.get(path, record.summary)())
        elif path in SPECIAL_PATHS:
            self._record.by_path[path.decode()] += 1
            self._transport.write(SPECIAL_PATHS[path])
        else:
            self._record.note(body)
            asyncio.get_running_loop().call_later(self._latency_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def serve(port: int, latency_s: float) -> None:
    """Serve until cancelled."""
    record = Record()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(record, latency_s), "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
