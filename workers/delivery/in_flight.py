"""The deliveries that this process has begun and not settled yet, by integration. Their leases are renewed."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class InFlight:
    """Any thread may use it."""

    def __init__(self) -> None:
        self._ids: defaultdict[str, set[str]] = defaultdict(set)
        self._begun = 0
        self._lock = threading.Lock()

    def new(self, integration_id: str, ids: Iterable[str]) -> list[str]:
        """Return the ids that are not in flight.

        A delivery whose lease expired while its worker was stalled is released again, perhaps to the same worker, which
        still attempts it. To begin it then would send it twice.
        """
        with self._lock:
            return [one for one in ids if one not in self._ids[integration_id]]

    def add(self, integration_id: str, ids: Collection[str]) -> None:
        """Add deliveries that have been begun."""
        with self._lock:
            self._ids[integration_id].update(ids)
            self._begun += len(ids)

    def remove(self, integration_id: str, ids: Iterable[str]) -> None:
        """Remove deliveries that have been settled, or that nothing settles any more."""
        with self._lock:
            self._ids[integration_id].difference_update(ids)

    def ids(self, integration_id: str) -> Sequence[str]:
        """Return the ids of an integration."""
        with self._lock:
            return tuple(self._ids[integration_id])

    def counters(self) -> tuple[int, int]:
        """Return the number of deliveries begun since this process started, and of those in flight."""
        with self._lock:
            return self._begun, sum(map(len, self._ids.values()))
