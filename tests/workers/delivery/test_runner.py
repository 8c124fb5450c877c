"""The runner with a pipeline and a settler that the test controls, all on one event loop without threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import msgspec

from common.ledger import Delivery, Header, Settlement, SettleOutcome
from tests.support.fakes import policy
from workers.delivery.runner import Batch, Runner
from workers.delivery.settlements import Settlements

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    import pytest


class World:
    """A runner; the test ends attempts with `end` and settlements with `settle`."""

    def __init__(self, concurrency: int = 128) -> None:
        self.served: Any = Mock(policy=policy(concurrency=concurrency))
        self.attempts: dict[str, asyncio.Future[Settlement]] = {}
        self.settles: list[tuple[list[str], asyncio.Future[bool]]] = []
        self.begun, self.given_up = asyncio.Event(), list[str]()
        settler: Any = self
        self.settlements = Settlements(settler)
        self.runner = Runner(settler, self.settlements, self._attempt)

    def start(self, *ids: str) -> Batch:
        batch = Batch(len(ids))
        self.runner.start(self.served, batch, [Delivery(one, Header(committed_ms=1), b"{}") for one in ids])
        return batch

    async def _attempt(self, _served: object, delivery: Delivery) -> Settlement:
        self.attempts[delivery.id] = asyncio.get_running_loop().create_future()
        return await self.attempts[delivery.id]

    async def settle_together(self, ended: Sequence[tuple[object, Sequence[Settlement]]]) -> list[bool | None]:
        return [await self.settle(*one) for one in ended]

    async def settle(self, _served: object, settlements: Sequence[Settlement]) -> bool:
        blocked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.settles.append(([f"{one.id} {one.outcome}" for one in settlements], blocked))
        self.begun.set()
        return await blocked

    def give_up(self, _served: object, ids: Sequence[str]) -> None:
        self.given_up += ids

    async def end(self, *ids: str) -> None:
        for one in ids:
            self.attempts[one].set_result(Settlement(id=one, outcome=SettleOutcome.DELIVERED))
        await until_idle()

    async def settled(self, *, blocked: bool = False) -> list[str]:
        """Wait for the next settlement, end it and return what it holds."""
        await self.begun.wait()
        self.begun.clear()
        ids, future = self.settles.pop(0)
        future.set_result(blocked)
        await until_idle()
        return ids


async def until_idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 30))


def test_at_most_concurrency_attempts_run_in_order() -> None:
    async def scenario() -> None:
        world = World(concurrency=2)
        world.start("a", "b", "c")
        world.start("d")
        await until_idle()
        assert list(world.attempts) == ["a", "b"]
        await world.end("b")
        assert list(world.attempts) == ["a", "b", "c"]
        await world.end("a", "c")
        assert list(world.attempts) == ["a", "b", "c", "d"]

    run(scenario())


def test_runner_that_was_idle_attempts_again() -> None:
    async def scenario() -> None:
        world = World(concurrency=1)
        for one in "abc":
            batch = world.start(one)
            await until_idle()
            await world.end(one)
            assert await world.settled() == [f"{one} delivered"]
            assert batch.wait() == {"delivered": 1}

    run(scenario())


def test_last_delivery_is_settled_without_a_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.delivery.settlements.SETTLE_DELAY_S", 3600)

    async def scenario() -> None:
        world = World()
        world.start("a")
        await until_idle()
        await world.end("a")
        assert await world.settled() == ["a delivered"]

    run(scenario())


def test_deliveries_of_several_tasks_that_end_together_are_settled_together() -> None:
    async def scenario() -> None:
        world = World()
        first, second = world.start("a", "b"), world.start("c", "d")
        await until_idle()
        await world.end("a", "c")
        assert world.settles == []
        assert await world.settled() == ["a delivered", "c delivered"]
        await world.end("b", "d")
        assert await world.settled() == ["b delivered", "d delivered"]
        assert first.wait() == second.wait() == {"delivered": 2}

    run(scenario())


def test_what_ends_during_a_settlement_is_settled_by_the_next_one() -> None:
    async def scenario() -> None:
        world = World()
        world.start(*"abcd")
        await until_idle()
        await world.end("a")
        await world.begun.wait()
        await world.end("b", "c", "d")
        assert len(world.settles) == 1
        assert await world.settled() == ["a delivered"]
        assert await world.settled() == ["b delivered", "c delivered", "d delivered"]

    run(scenario())


def test_what_ends_at_several_integrations_is_settled_together_and_in_bounded_groups() -> None:
    async def scenario() -> None:
        world = World()
        together: list[int] = []

        async def settle_together(ended: Sequence[object]) -> list[bool | None]:
            together.append(len(ended))
            return [False] * len(ended)

        world.settle_together = settle_together  # type: ignore[method-assign]  # it also succeeds at once
        settler: Any = world
        runners = [Runner(settler, world.settlements, world._attempt) for _ in range(25)]
        batch = Batch(len(runners))
        for n, runner in enumerate(runners):
            runner.start(world.served, batch, [Delivery(f"{n}", Header(committed_ms=1), b"{}")])
        await until_idle()
        await world.end(*map(str, range(25)))
        assert together == [20, 5]
        assert batch.wait() == {"delivered": 25}

    run(scenario())


def test_integration_that_cannot_be_settled_with_the_others_is_settled_by_itself() -> None:
    async def scenario() -> None:
        world = World()

        async def settle_together(ended: Sequence[object]) -> list[bool | None]:
            return [None] * len(ended)

        world.settle_together = settle_together  # type: ignore[method-assign]  # as if Redis were unavailable
        batch = world.start("a", "b")
        await until_idle()
        await world.end("a", "b")
        assert await world.settled() == ["a delivered", "b delivered"]
        assert batch.wait() == {"delivered": 2}

    run(scenario())


def test_what_has_not_started_is_returned_if_the_integration_is_blocked() -> None:
    async def scenario() -> None:
        world = World(concurrency=1)
        first, second = world.start("a", "b"), world.start("c")
        await until_idle()
        await world.end("a")  # `b` is attempted by now
        assert await world.settled(blocked=True) == ["a delivered"]
        assert await world.settled() == ["c returned"]
        assert second.wait() == {"returned": 1}
        await world.end("b")
        assert await world.settled() == ["b delivered"]
        assert first.wait() == {"delivered": 2}

    run(scenario())


def test_error_of_the_pipeline_itself_ends_one_delivery_only(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world = World(concurrency=1)
        batch = world.start("a", "b")
        await until_idle()
        world.attempts["a"].set_exception(ZeroDivisionError())
        await until_idle()
        assert world.given_up == ["a"]
        await world.end("b")
        assert await world.settled() == ["b delivered"]
        assert batch.wait() == {"lost": 1, "delivered": 1}

    run(scenario())
    assert "delivery not settled: internal error" in caplog.text


def test_changed_concurrency_counts_from_the_next_task_on() -> None:
    async def scenario() -> None:
        world = World(concurrency=2)
        world.start("a", "b", "c")
        world.served.policy = msgspec.structs.replace(world.served.policy, concurrency=1)
        world.start("d")
        await until_idle()
        await world.end("a")
        assert list(world.attempts) == ["a", "b"]
        await world.end("b")
        assert list(world.attempts) == ["a", "b", "c"]

    run(scenario())
