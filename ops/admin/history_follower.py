"""Follows the histories of integrations, also of those that are published meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.ledger import HistoryEntry, UnreadableEntry
    from ops.admin.session import LedgerSession

WAIT_S: Final = 5.0
"""How long one command waits for entries in Redis; then new integrations are looked for."""

BEGINNING: Final = "0-0"


class HistoryFollower:
    """Waits for entries of the integrations that `words` select, all if empty: since a time, or from now on."""

    def __init__(self, session: LedgerSession, words: Sequence[str], since_ms: int | None) -> None:
        """`since_ms` is in ms since the epoch. Raises CourierError for an unknown word."""
        self._session, self._words = session, words
        self._positions: dict[str, str] = {}
        self._damaged: set[str] = set()
        ids = session.resolve_for_query(words)
        if since_ms is None:
            last = session.ledger.last_history(ids, 1)
            self._positions = {i: last[i][0].position or BEGINNING if last[i] else BEGINNING for i in ids}
        else:  # the last position of the ms before
            self._positions = dict.fromkeys(ids, f"{since_ms - 1}-{2**64 - 1}" if since_ms else BEGINNING)

    def wait(self, timeout_s: float = WAIT_S) -> list[HistoryEntry | UnreadableEntry]:
        """Return the next entries in the order of time, none after `timeout_s`.

        Raises LedgerUnavailable or LedgerMisconfigured. A history that cannot be read is returned once.
        """
        found = self._session.ledger.wait_for_history(self._positions, timeout_s=timeout_s)
        for integration_id, entries in found.items():
            if entries[-1].position:
                self._positions[integration_id] = entries[-1].position
            else:
                self._damaged.add(integration_id)
                del self._positions[integration_id]
        if not found:
            self._add_new()
        return sorted((one for entries in found.values() for one in entries), key=lambda one: one.order)

    def _add_new(self) -> None:
        self._session = self._session.refreshed()
        for one in self._session.resolve_for_query(self._words):
            if one not in self._damaged:
                self._positions.setdefault(one, BEGINNING)
