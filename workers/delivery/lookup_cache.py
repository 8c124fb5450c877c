"""Between the delivery pipeline and a look-up service: asks what is remembered first, and lets one ask for all.

Who finds another worker asking the same waits for its answer, without an attempt and without spending anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from common.outcome import Postponed

if TYPE_CHECKING:
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.delivery.lookup_store import LookupStore
    from workers.integrations.base import Cacheable

LOCK_POLL_S: Final = 1.0


class LookupCache:
    """The remembered answers of one service."""

    def __init__(self, service: Cacheable, store: LookupStore) -> None:
        self._service, self._store = service, store

    def get(self, alert: Alert, call: Any) -> Outcome | None:
        """Return what is known already, or that somebody else is asking; None if it is for the caller to ask."""
        question = self._service.cache_key(call)
        if not question:
            return None
        content = self._store.get(question)
        if content is None:
            if not self._store.acquire(question):
                return Postponed(LOCK_POLL_S)
            content = self._store.get(question)  # who asked may have been answered since we looked
            if content is None:
                return None
            self.release(call)
        return self._service.from_cache(alert, call, content)

    def put(self, call: Any, answer: Any) -> None:
        """Remember what is worth it, and let others ask."""
        if question := self._service.cache_key(call):
            self._store.put(question, *self._service.cache_entry(call, answer))

    def release(self, call: Any) -> None:
        """Let others ask: there was no answer."""
        if question := self._service.cache_key(call):
            self._store.put(question, b"", 0.0)
