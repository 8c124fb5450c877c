"""What the target has received: one list, from which the terminal, the page and the final check all read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT: Final = 5_000
"""Messages kept for the page; older ones are only counted. The sample has a few hundred."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it arrived, and what it was answered.

    `number` counts from 1. `status` is the HTTP status of the answer, 0 if there was none. `accepted` says whether the
    service took it; the troubles that the target makes on purpose are there too, not accepted. `identity` is the
    alert's id, or what was looked up. `body` is what the page shows: the message itself.
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
        """Record a message now and return it."""
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
        """Return the messages behind `number` that are still kept, at most `limit`."""
        with self._lock:
            first = self._last - len(self._messages) + 1
            start = max(0, number + 1 - first)
            return self._messages[start : start + limit]

    def __len__(self) -> int:
        """Return how many messages there have been."""
        return self._last
