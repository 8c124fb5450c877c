"""The troubles that the target makes on purpose, so that a person sees retries work. All of them pass.

The first request to a service gets the service's trouble instead of an answer.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ops.demo.http_types import Reply, json_reply, text_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

TROUBLES: Final[dict[str, Reply]] = {
    "slack": text_reply(
        HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", headers={"Retry-After": "1"}, note="429, try again after 1 s"
    ),
    "pagerduty": text_reply(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", note="500, out of order"),
    "shuffle": Reply(status=0, note="connection closed without an answer"),
    "maltiverse": text_reply(HTTPStatus.BAD_GATEWAY, "Bad Gateway", note="502, bad gateway"),
    "ticket": json_reply(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "maintenance"}, note="503, maintenance"),
}


class Troubles:
    """What is still to come. Any thread may ask."""

    def __init__(self, troubles: Mapping[str, Reply] = TROUBLES) -> None:
        self._left = dict(troubles)
        self._lock = threading.Lock()

    def next_for(self, service: str) -> Reply | None:
        """Return the trouble that this request to `service` gets, None if it is simply answered."""
        with self._lock:
            return self._left.pop(service, None)
