"""Replays and discards dead letters: what `courier dead` and the console do, after they have shown the numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.admin.dead_letters import reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from common.ledger import Ledger
    from ops.admin.dead_letters import FoundLetter

CHUNK: Final = 500
"""Letters that one call to the ledger moves."""


class Selection(NamedTuple):
    """Selected letters: the ids of deliveries by integration, and their numbers by integration and reason.

    `unreadable` are those that were left out, because their records cannot be read and therefore not be replayed.
    """

    letters: dict[str, list[str]]
    counts: Counter[tuple[str, str]]
    unreadable: list[FoundLetter]


class Replayed(NamedTuple):
    """How many letters are queued by integration, and in how many seconds the last one is due."""

    numbers: dict[str, int]
    last_s: float


def select(found: Iterable[FoundLetter], *, readable: bool = False) -> Selection:
    """Return these letters as a selection; with `readable`, without those that cannot be replayed."""
    selection = Selection({}, Counter(), [])
    for one in found:
        if readable and one.letter.problem:
            selection.unreadable.append(one)
            continue
        selection.letters.setdefault(one.integration_id, []).append(one.letter.delivery.id)
        selection.counts[one.integration_id, reason(one.letter)] += 1
    return selection


def replay(ledger: Ledger, letters: Mapping[str, Sequence[str]], *, rate: float) -> Replayed:
    """Queue the letters for delivery again, `rate` of them a second. Raises LedgerError."""
    numbers, later_s = dict.fromkeys(letters, 0), 0.0
    for integration_id, chunk in chunks(letters):
        numbers[integration_id] += ledger.replay(integration_id, chunk, interval_s=1 / rate, after_s=later_s)
        later_s += len(chunk) / rate
    return Replayed(numbers, later_s)


def discard(ledger: Ledger, letters: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Delete the letters, and return how many by integration. Raises LedgerError."""
    numbers = dict.fromkeys(letters, 0)
    for integration_id, chunk in chunks(letters):
        numbers[integration_id] += ledger.discard(integration_id, chunk)
    return numbers


def chunks(letters: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the ids in lists of at most CHUNK, with their integration."""
    for integration_id, ids in letters.items():
        for start in range(0, len(ids), CHUNK):
            yield integration_id, ids[start : start + CHUNK]
