"""What somebody else changed in Redis and the producer put right: counted, and shown by `status` for an hour."""

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
        """Count that somebody else changed this."""
        self._counts[f"{FOREIGN_WRITE}{what}"] += number
        self._found_at_s[what] = self._now()

    def recent(self) -> str:
        """Return what was changed within the last hour, for a person; empty if nothing was."""
        lately = [what for what, at_s in self._found_at_s.items() if self._now() - at_s < SHOWN_S]
        return f"somebody else wrote into Redis within the hour: {', '.join(sorted(lately))}" if lately else ""
