"""Reads dead letters page by page while others replay, discard or expire some: none that stays is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.ledger.answers import DeadLetter
from common.ledger.errors import translated
from common.ledger.keys import keys_of
from common.ledger.record import decode_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

Place = tuple[float, bytes]
"""Time of death and id: what Redis sorts by."""


def read_letters(client: Redis, integration_id: str, chunk: int) -> Iterator[DeadLetter]:
    """Yield the dead letters, the oldest first, reading `chunk` at a time. Raises LedgerUnavailable or LedgerUnfit."""
    records, _, _, dead, *_ = keys_of(integration_id)
    last, start = (-1.0, b""), 0
    while True:
        with translated():
            page: Any = client.zrange(dead, start, start + chunk - 1, withscores=True)
            fresh = [(i, score) for i, score in page if (score, i) > last]
            found: Any = client.hmget(records, [i for i, _ in fresh]) if fresh else []
        for (delivery_id, died_ms), record in zip(fresh, found, strict=True):
            if record is not None:
                yield DeadLetter(decode_record(delivery_id.decode(), record), int(died_ms))
        if len(page) < chunk:
            return
        end = (page[-1][1], page[-1][0])
        last, start = max(last, end), _after(client, dead, end)


def _after(client: Redis, dead: str, place: Place) -> int:
    """Return the rank that follows a place; if its letter is gone, that of the first that died at the same time."""
    died_ms, delivery_id = place
    with translated():
        rank: Any = client.zrank(dead, delivery_id)
        if rank is not None:
            return int(rank) + 1
        return int(client.zcount(dead, "-inf", f"({died_ms!r}"))
