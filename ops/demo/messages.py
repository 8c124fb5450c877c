"""The messages that the target received: one list for the terminal, the page and the final check."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT: Final = 5_000
"""The number of messages kept; older ones are only counted. The sample has a few hundred."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message that arrived, and the response to it.

    `number` counts from 1. `status` is the HTTP status of the response, 0 if there was none. `accepted` is false also
    for messages that the target refused on purpose. `identity` is the alert's id or the value looked up. `body` is the
    message itself, for the page.
    """

    number: int
    at_s: float
    service: str
    integration: str
    status: int
    accepted: bool
    identity: str
    title: str
    note: str = ""
    body: Any = None


class Inbox:
    """The messages, oldest first. `clock` returns seconds since the epoch. Any thread may call any method."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._messages: list[Message] = []
        self._last = 0
        self._lock = threading.Lock()

    def add(
        self,
        *,
        service: str,
        integration: str,
        status: int,
        accepted: bool,
        identity: str,
        title: str,
        note: str = "",
        body: Any = None,
    ) -> Message:
        """Record a message with the next number and the current time, and return it."""
        with self._lock:
            self._last += 1
            message = Message(
                number=self._last,
                at_s=self._clock(),
                service=service,
                integration=integration,
                status=status,
                accepted=accepted,
                identity=identity,
                title=title,
                note=note,
                body=body,
            )
            self._messages.append(message)
            del self._messages[:-KEPT]
            return message

    def after(self, number: int, limit: int = KEPT) -> list[Message]:
        """Return the kept messages with a higher number than `number`, at most `limit`."""
        with self._lock:
            first = self._last - len(self._messages) + 1
            start = max(0, number + 1 - first)
            return self._messages[start : start + limit]

    def __len__(self) -> int:
        """Return the number of messages received, including those no longer kept."""
        return self._last
