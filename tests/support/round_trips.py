"""Counts how often a thread goes to Redis and back."""

from __future__ import annotations

from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from redis.connection import AbstractConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def counted_round_trips() -> Iterator[Callable[[], int]]:
    """Count the commands and pipelines that this thread sends in the block; the function returns the number so far."""
    send: Callable[..., None] = AbstractConnection.send_packed_command
    thread, sent = get_ident(), 0

    def counted(connection: AbstractConnection, *arguments: Any, **options: Any) -> None:
        nonlocal sent
        sent += get_ident() == thread  # others, such as those of a console, may serve a page of the test before
        send(connection, *arguments, **options)

    with patch.object(AbstractConnection, "send_packed_command", counted):
        yield lambda: sent
