"""One page of the history, the newest entries first, read in bounded steps: for the console.

`courier history --json` prints the same entries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from common.conditions.patterns import Pattern, compile_pattern
from common.ledger import HistoryEntry
from ops.admin.history import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from common.ledger import Ledger
    from ops.admin.history import Selection

MAX_SEARCHED: Final = 20_000
"""Entries that one page reads, about 5 MB: a search may match few of many."""

CHUNK_TOTAL: Final = 5000
MIN_CHUNK: Final = 20
"""The first read of a page is of CHUNK_TOTAL entries of all integrations together, but MIN_CHUNK of each."""

_PLACE: Final = re.compile(r"([0-9]{1,14})-([0-9]{1,7})")


class PagePlace(NamedTuple):
    """Where a page begins: behind the first `number` entries of this ms, counted from the newest one.

    No entry is ever added to a past ms, so the place remains the same while new entries come. Its text is `MS-NUMBER`.
    """

    ms: int
    number: int

    @classmethod
    def parse(cls, text: str) -> PagePlace:
        """Return the place of a text. Raises ValueError."""
        found = _PLACE.fullmatch(text)
        if not found:
            raise ValueError("is not the beginning of a page")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


class HistoryPage(NamedTuple):
    """Entries that match, the newest first. `searched` entries were read.

    `older` is where the next page begins, None if there are no older entries. `notes` name what could not be read, by
    integration.
    """

    entries: list[HistoryEntry]
    searched: int
    older: PagePlace | None
    notes: list[tuple[str, str]]


def read_page(
    ledger: Ledger,
    integration_ids: Collection[str],
    wanted: Selection,
    *,
    since_ms: int,
    until_ms: int | None,
    place: PagePlace | None,
    size: int,
    max_searched: int = MAX_SEARCHED,
) -> HistoryPage:
    """Return at most `size` entries that match among `max_searched`, from `place` or the newest one on.

    They ended from `since_ms` to `until_ms`, None is now. Raises LedgerUnavailable or LedgerMisconfigured.
    """
    chunk = max(MIN_CHUNK, min(1000, CHUNK_TOTAL // max(1, len(integration_ids))))
    newest_ms = place.ms if place else until_ms
    found = ledger.history(integration_ids, since_ms=since_ms, until_ms=newest_ms, newest_first=True, chunk=chunk)
    unreadable, entries, searched = Unreadable(), list[HistoryEntry](), 0
    ms, number = -1, 0
    for entry in found:
        is_next = len(entries) < size and searched < max_searched
        if not is_next:
            return HistoryPage(entries, searched, PagePlace(ms, number), unreadable.notes())
        number = number + 1 if entry.order[0] == ms else 1
        ms = entry.order[0]
        if place and ms == place.ms and number <= place.number:
            continue
        searched += 1
        entries += filter(wanted.includes, unreadable.readable([entry]))
    return HistoryPage(entries, searched, None, unreadable.notes())


def words_matcher(text: str) -> Callable[[str], bool] | None:
    """Return the function that says whether one of these words is a text; None without words.

    Words are separated by commas or blanks, and may have the wildcards `*` and `?`. Raises ValueError if one is too
    long.
    """
    tests = [compile_pattern(Pattern.of(word)) for word in text.replace(",", " ").split()]
    return (lambda value: any(test(value) for test in tests)) if tests else None
