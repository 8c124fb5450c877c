"""Counts changes in Redis by other writers, which the producer repaired; `status` shows them for an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.reports.producer import FOREIGN_WRITE, ForeignWrite

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

SHOWN_S: Final = 3600.0


class ForeignWrites:
    """Counts into `counts`. `now` is monotonic, in seconds."""

    def __init__(self, counts: Counter[str], now: Callable[[], float]) -> None:
        self._counts, self._now = counts, now
        self._found_at_s: dict[ForeignWrite, float] = {}

    def record(self, what: ForeignWrite, number: int = 1) -> None:
        """Count changes of this kind."""
        self._counts[f"{FOREIGN_WRITE}{what}"] += number
        self._found_at_s[what] = self._now()

    def recent(self) -> str:
        """Return a text with the changes of the last hour; empty if there were none."""
        lately = [what for what, at_s in self._found_at_s.items() if self._now() - at_s < SHOWN_S]
        return (
            f"another writer changed data in Redis within the last hour: {', '.join(sorted(lately))}" if lately else ""
        )
