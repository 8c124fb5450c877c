"""Reads dead letters page by page. It misses none that stays, even if others are replayed or deleted meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import UnreadableRecord
from common.ledger.keys import keys_of
from common.ledger.record import Attempt, Delivery, Header, decode_record, id_text, to_int
from common.ledger.types import DeadLetter
from common.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.client import Pipeline

    from common.ledger.calls import Calls

SortKey = tuple[float, bytes]
"""Time of death in ms and id: the order in which Redis sorts."""


def read_dead_letters(calls: Calls, integration_id: str, chunk: int) -> Iterator[DeadLetter]:
    """Yield the dead letters, the oldest first, reading `chunk` at a time.

    Raises LedgerUnavailable, LedgerMisconfigured or LedgerDamaged.
    """
    last, start = (float("-inf"), b""), 0
    while True:
        page = _page(calls, integration_id, start, chunk)
        # Ranks shift while others are deleted, so a page may repeat letters: skip those already yielded.
        fresh = [(i, score) for i, score in page if (score, i) > last]
        found = _records(calls, integration_id, [i for i, _ in fresh]) if fresh else []
        for (delivery_id, died_ms), record in zip(fresh, found, strict=True):
            if record is not None:
                yield _letter(id_text(delivery_id), record, max(0, to_int(died_ms)))
        if len(page) < chunk:
            return
        end = (page[-1][1], page[-1][0])
        last, start = max(last, end), _after(calls, integration_id, end)


def _letter(delivery_id: str, record: bytes, died_ms: int) -> DeadLetter:
    try:
        return DeadLetter(decode_record(delivery_id, record), died_ms)
    except UnreadableRecord as error:
        header = Header(committed_ms=0, history=(Attempt(died_ms, Reason.UNREADABLE, str(error)),))
        return DeadLetter(Delivery(delivery_id, header, record), died_ms, str(error))


def _page(calls: Calls, integration_id: str, start: int, chunk: int) -> list[tuple[bytes, float]]:
    def add(pipe: Pipeline) -> None:
        pipe.zrange(keys_of(integration_id).dead, start, start + chunk - 1, withscores=True)

    (page,) = calls.ask(integration_id, add)
    return list(page)


def _records(calls: Calls, integration_id: str, ids: list[bytes]) -> list[bytes | None]:
    (found,) = calls.ask(integration_id, lambda pipe: pipe.hmget(keys_of(integration_id).records, ids))
    return list(found)


def _after(calls: Calls, integration_id: str, key: SortKey) -> int:
    """Return the rank after `key`; if that letter is gone, the rank of the first that died at the same time."""
    died_ms, delivery_id = key

    def add(pipe: Pipeline) -> None:
        pipe.zrank(keys_of(integration_id).dead, delivery_id)
        pipe.zcount(keys_of(integration_id).dead, "-inf", f"({died_ms!r}")

    rank, older = calls.ask(integration_id, add)
    return int(older) if rank is None else int(rank) + 1
