"""The cache between the delivery pipeline and a look-up service; of concurrent equal look-ups, only one is sent.

While a worker sends a look-up, other deliveries with the same one are postponed. They use no attempt and no quota.

The store is in Redis, so its calls block and run on threads beside the event loop.
"""

from __future__ import annotations

from asyncio import to_thread
from typing import TYPE_CHECKING, Any, Final

from common.outcome import Postponed

if TYPE_CHECKING:
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.delivery.lookup_store import LookupStore
    from workers.integrations.base import Cacheable

LOCK_POLL_S: Final = 1.0
"""Minimum delay before a postponed delivery checks the cache again."""


class LookupCache:
    """The cached look-ups of one service."""

    def __init__(self, service: Cacheable, store: LookupStore) -> None:
        self._service, self._store = service, store

    async def get(self, alert: Alert, call: Any) -> Outcome | None:
        """Return the outcome from the cache, or Postponed if another worker is sending the same look-up.

        None means that the caller must send the call, and then call `put` or `release`.
        """
        key = self._service.cache_key(call)
        if not key:
            return None
        content = await to_thread(self._store.get, key)
        if content is None:
            if not await to_thread(self._store.acquire, key):
                return Postponed(LOCK_POLL_S)
            # Another worker may have cached the response between the first read and the lock.
            content = await to_thread(self._store.get, key)
            if content is None:
                return None
            await self.release(call)
        return self._service.from_cache(alert, call, content)

    async def put(self, call: Any, response: Any) -> None:
        """Cache the response if it qualifies, and release the lock."""
        if key := self._service.cache_key(call):
            await to_thread(self._store.put, key, *self._service.cache_entry(call, response))

    async def release(self, call: Any) -> None:
        """Release the lock without a response, so that another worker can send the look-up."""
        if key := self._service.cache_key(call):
            await to_thread(self._store.put, key, b"", 0.0)
