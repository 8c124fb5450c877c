"""Counts how often this process goes to Redis and back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from redis.connection import AbstractConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def counted_round_trips() -> Iterator[Callable[[], int]]:
    """Count the commands and pipelines that are sent in the block; the function returns the number so far."""
    send = AbstractConnection.send_packed_command
    with patch.object(AbstractConnection, "send_packed_command", autospec=True, side_effect=send) as sent:
        yield lambda: sent.call_count
