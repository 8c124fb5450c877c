"""Runs the deliveries of one integration on the event loop, whatever task they came with.

    waiting     until fewer than `concurrency` attempts are in progress
    running     the pipeline makes an attempt
    ended       until what ends within SETTLE_DELAY_S, or during the previous settlement, is settled together
    settled     counted for the task

All methods must be called on the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from common.ledger import Settlement, SettleOutcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from common.ledger import Delivery
    from workers.delivery.served import ServedIntegration
    from workers.delivery.settler import Settler

SETTLE_DELAY_S: Final = 0.005
"""A settlement waits this long for others while further attempts are in progress. It costs one call of Redis however
many it holds, and each one is followed by a release."""

_log = logging.getLogger("courier.worker")


class Batch:
    """The deliveries that one task has begun."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries = deliveries
        self._left = len(deliveries)
        self._counts: Counter[str] = Counter()
        self._done: Future[dict[str, int]] = Future()

    def end(self, outcome: str) -> None:
        """Count a delivery that has ended."""
        self._counts[outcome] += 1
        self._left -= 1
        if not self._left:
            self._done.set_result(dict(self._counts))

    def wait(self) -> dict[str, int]:
        """Block until all deliveries have ended; return their number by outcome. For the thread of the task."""
        return self._done.result()


class Runner:
    """Runs the deliveries of one integration. `attempt` makes one attempt."""

    def __init__(
        self, settler: Settler, attempt: Callable[[ServedIntegration, Delivery], Awaitable[Settlement]]
    ) -> None:
        self._settler, self._attempt = settler, attempt
        self._waiting: deque[tuple[Batch, Delivery]] = deque()
        self._running = 0
        self._ended: list[tuple[Batch, Settlement]] = []
        self._settling = False
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop itself keeps only weak references

    def start(self, served: ServedIntegration, batch: Batch) -> None:
        """Attempt these deliveries, as `served` says from now on, also for those that wait already."""
        self._served = served
        self._waiting.extend((batch, delivery) for delivery in batch.deliveries)
        for _ in range(min(len(self._waiting), served.policy.concurrency - self._running)):
            self._running += 1
            self._spawn(self._run())

    async def _run(self) -> None:
        """Attempt one delivery after the other until none waits."""
        while self._waiting and self._running <= self._served.policy.concurrency:
            batch, delivery = self._waiting.popleft()
            try:
                settlement = await self._attempt(self._served, delivery)
            except Exception:  # noqa: BLE001 — an error in the pipeline itself; the lease of the delivery expires
                _log.exception("delivery not settled: internal error", extra={"delivery": delivery.id})
                self._settler.give_up(self._served, [delivery.id])
                batch.end("lost")
            else:
                self._settle(batch, settlement)
        self._running -= 1

    def _settle(self, batch: Batch, settlement: Settlement) -> None:
        self._ended.append((batch, settlement))
        if not self._settling:
            self._settling = True
            self._spawn(self._settle_all())

    async def _settle_all(self) -> None:
        """Settle what has ended, as much as possible together, until there is nothing left."""
        while self._ended:
            if self._running:
                await asyncio.sleep(SETTLE_DELAY_S)
            ended, self._ended = self._ended, []
            if await self._settler.settle(self._served, [settlement for _, settlement in ended]):
                self._return_waiting()
            for batch, settlement in ended:
                batch.end(settlement.outcome.value)
        self._settling = False

    def _return_waiting(self) -> None:
        """Give back what has not started: a breaker or a pause blocks the integration."""
        for batch, delivery in self._waiting:
            self._ended.append((batch, Settlement(id=delivery.id, outcome=SettleOutcome.RETURNED)))
        self._waiting.clear()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
