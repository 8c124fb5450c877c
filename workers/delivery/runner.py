"""Runs the deliveries of one integration on the event loop, whatever task they came with.

    waiting     until fewer than `concurrency` attempts are in progress
    running     the pipeline makes an attempt
    ended       until it is settled together with others (`workers/delivery/settlements.py`)
    settled     counted for the task

All methods must be called on the event loop, so there are no locks.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from common.ledger import Settlement, SettleOutcome
from workers.delivery.event_loop import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from common.ledger import Delivery
    from workers.delivery.served import ServedIntegration
    from workers.delivery.settlements import Settlements
    from workers.delivery.settler import Settler

    Ended = tuple["Batch", Settlement]

_log = logging.getLogger("courier.worker")


class Batch:
    """The deliveries that one task has begun, for one or more integrations."""

    def __init__(self, size: int) -> None:
        self._left = size
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

    served: ServedIntegration
    """The integration as of the last start."""

    def __init__(
        self,
        settler: Settler,
        settlements: Settlements,
        attempt: Callable[[ServedIntegration, Delivery], Awaitable[Settlement]],
    ) -> None:
        self._settler, self._settlements, self._attempt = settler, settlements, attempt
        self._waiting: deque[tuple[Batch, Delivery]] = deque()
        self._running = 0
        self._ended: list[Ended] = []
        self._settling = False

    def start(self, served: ServedIntegration, batch: Batch, deliveries: Sequence[Delivery]) -> None:
        """Attempt these deliveries, as `served` says from now on, also for those that wait already."""
        self.served = served
        self._waiting.extend((batch, delivery) for delivery in deliveries)
        for _ in range(min(len(self._waiting), served.policy.concurrency - self._running)):
            self._running += 1
            self._settlements.running += 1
            spawn(self._run())

    async def _run(self) -> None:
        """Attempt one delivery after the other until none waits."""
        while self._waiting and self._running <= self.served.policy.concurrency:
            batch, delivery = self._waiting.popleft()
            try:
                settlement = await self._attempt(self.served, delivery)
            except Exception:  # noqa: BLE001 — an error in the pipeline itself; the lease of the delivery expires
                _log.exception("delivery not settled: internal error", extra={"delivery": delivery.id})
                self._settler.give_up(self.served, [delivery.id])
                batch.end("lost")
            else:
                self._ended.append((batch, settlement))
                self._settle()
        self._running -= 1
        self._settlements.running -= 1

    def _settle(self) -> None:
        if self._ended and not self._settling:
            self._settling = True
            self._settlements.add(self)

    def take_ended(self) -> list[Ended]:
        """Return what has ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def settled(self, ended: Sequence[Ended], *, is_blocked: bool) -> None:
        """Count for their tasks what was taken and is settled or given up. `is_blocked`: the integration is blocked."""
        if is_blocked:
            self._return_waiting()
        for batch, settlement in ended:
            batch.end(settlement.outcome.value)
        self._settling = False
        self._settle()

    def _return_waiting(self) -> None:
        """Give back what has not started: a breaker or a pause blocks the integration."""
        for batch, delivery in self._waiting:
            self._ended.append((batch, Settlement(id=delivery.id, outcome=SettleOutcome.RETURNED)))
        self._waiting.clear()
