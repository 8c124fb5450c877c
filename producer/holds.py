"""Which of the alerts that are committed now are held, and until when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from common.windows import held_until
from producer.filters.decode import decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from common.integration import Integration
    from common.windows import Hold, Window
    from producer.source import Line

CLOCK_CHECK_S: Final = 1.0
"""How long an answer is used: reading the clock of Redis takes a round trip, and the end of a window 0.4 ms."""


class WindowSource(Protocol):
    """What has the windows in force: the active configuration."""

    @property
    def windows(self) -> Mapping[str, Window]:
        """The windows by name."""
        ...


class Holds:
    """Judges windows by the ledger's clock, `ledger_ms`, at the time of the commit and not by the alert's own time.

    So alerts that are read after the end of a window are not held, however old they are. `now_s` is monotonic.
    """

    def __init__(self, ledger_ms: Callable[[], int], config: WindowSource) -> None:
        self._ledger_ms, self._config = ledger_ms, config
        self._until: dict[Hold, int] = {}
        self._checked_at_s, self._now_ms = float("-inf"), 0

    def held(self, integration: Integration, matches: Sequence[Line], now_s: float) -> dict[str, int]:
        """Return the ids of the lines that are held now, with the end of the hold in ms since the epoch.

        Raises LedgerUnavailable and LedgerMisconfigured.
        """
        hold = integration.hold
        if hold is None or not matches:
            return {}
        self.ledger_ms(now_s)
        if hold not in self._until:
            self._until[hold] = self._end_ms(hold)
        if not (until_ms := self._until[hold]):
            return {}
        return {one.id: until_ms for one in matches if _is_lower(one, hold)}

    def ledger_ms(self, now_s: float) -> int:
        """Return the time of the ledger in ms, up to CLOCK_CHECK_S ago. Raises as `held` does."""
        if now_s - self._checked_at_s >= CLOCK_CHECK_S:
            self._checked_at_s, self._now_ms = now_s, self._ledger_ms()
            self._until.clear()  # also since the windows may have changed
        return self._now_ms

    def _end_ms(self, hold: Hold) -> int:
        """Return the end of a hold, 0 if nothing is held now."""
        end = held_until(hold, self._config.windows[hold.window], datetime.fromtimestamp(self._now_ms / 1000, UTC))
        return round(end.timestamp() * 1000) if end else 0


def _is_lower(line: Line, hold: Hold) -> bool:
    """Return whether the level of a matching line is held. It is decoded again, since few lines get this far."""
    return hold.below is None or hold.applies_to(decode_line(line.raw).rule.level)
