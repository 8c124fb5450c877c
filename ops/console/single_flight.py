"""A value that is expensive to read, kept for a moment for everybody who asks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Returns the last value while it is younger than `max_age_s`. Everybody who asks meanwhile waits for one read.

    `now` returns seconds.
    """

    def __init__(
        self, read: Callable[[], Awaitable[T]], *, max_age_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._max_age_s, self._now = read, max_age_s, now
        self._task: asyncio.Task[T] | None = None
        self._value: tuple[float, T] | None = None
        self._generation = 0

    async def get(self) -> T:
        """Return the value. Raises what the read raises, to each who waited for it."""
        if self._value and self._now() - self._value[0] < self._max_age_s:
            return self._value[1]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._update())
        return await asyncio.shield(self._task)  # a visitor who leaves must not stop the read of the others

    def forget(self) -> None:
        """Read again for the next who asks, even if a read is under way: it may have begun before a change."""
        self._value = self._task = None
        self._generation += 1

    async def _update(self) -> T:
        generation = self._generation
        value = await self._read()
        if generation == self._generation:
            self._value = (self._now(), value)
        return value
