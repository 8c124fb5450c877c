"""The faults that the target causes on purpose to show retries. All of them are temporary.

The first accepted request to each service gets the fault in place of the response.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ops.demo.http_types import Reply, json_reply, text_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULTS: Final[dict[str, Reply]] = {
    "slack": text_reply(
        HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", headers={"Retry-After": "1"}, note="429, retry after 1 s"
    ),
    "pagerduty": text_reply(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", note="500, internal server error"
    ),
    "shuffle": Reply(status=0, note="connection closed without a response"),
    "maltiverse": text_reply(HTTPStatus.BAD_GATEWAY, "Bad Gateway", note="502, bad gateway"),
    "ticket": json_reply(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "maintenance"}, note="503, maintenance"),
}


class Faults:
    """The remaining faults. Thread-safe."""

    def __init__(self, faults: Mapping[str, Reply] = FAULTS) -> None:
        self._left = {service: [fault] for service, fault in faults.items()}
        self._lock = threading.Lock()

    def add(self, service: str, fault: Reply, number: int) -> None:
        """Let the next `number` requests to `service` get this fault."""
        with self._lock:
            self._left.setdefault(service, []).extend([fault] * number)

    def next_for(self, service: str) -> Reply | None:
        """Remove and return the next fault of `service`, None if all have happened."""
        with self._lock:
            left = self._left.get(service)
            return left.pop(0) if left else None
