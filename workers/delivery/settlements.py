"""Gathers what ends, of all integrations, so that it is settled together: one call of Redis however many it holds.

What ends at an integration during its settlement goes with its next one. An integration that could not be settled with
the others, because it is damaged or Redis is unavailable, is settled by itself until it succeeds: it delays no other.

All methods must be called on the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from common.broker.dispatcher import RELEASES_PER_ROUND_TRIP
from workers.delivery.event_loop import spawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.delivery.runner import Ended, Runner
    from workers.delivery.settler import Settler

SETTLE_DELAY_S: Final = 0.005
"""A settlement waits this long for others while further attempts are in progress."""


class Settlements:
    """The runners whose deliveries have ended. `running` is the number of attempts in progress of all runners."""

    def __init__(self, settler: Settler) -> None:
        self._settler = settler
        self.running = 0
        self._due: list[Runner] = []

    def add(self, runner: Runner) -> None:
        """Settle what ends at a runner until SETTLE_DELAY_S is over. Add it again only after `Runner.settled`."""
        self._due.append(runner)
        if len(self._due) == 1:
            spawn(self._settle_due())

    async def _settle_due(self) -> None:
        if self.running:
            await asyncio.sleep(SETTLE_DELAY_S)
        runners, self._due = self._due, []
        for first in range(0, len(runners), RELEASES_PER_ROUND_TRIP):
            spawn(self._settle(runners[first : first + RELEASES_PER_ROUND_TRIP]))

    async def _settle(self, runners: Sequence[Runner]) -> None:
        ended = [(runner, runner.take_ended()) for runner in runners]
        blocked = await self._settler.settle_together([(r.served, [s for _, s in found]) for r, found in ended])
        for (runner, found), is_blocked in zip(ended, blocked, strict=True):
            if is_blocked is None:
                spawn(self._settle_alone(runner, found))
            else:
                runner.settled(found, is_blocked=is_blocked)

    async def _settle_alone(self, runner: Runner, ended: Sequence[Ended]) -> None:
        is_blocked = await self._settler.settle(runner.served, [settlement for _, settlement in ended])
        runner.settled(ended, is_blocked=is_blocked)
