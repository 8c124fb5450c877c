"""Batches with a service and a transport that the test controls, all on one event loop."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TransportError
from common.ledger import Delivery, Header, SettleOutcome
from common.outcome import Delivered, Reason, Rejected, Retry
from tests.support.fakes import SIGNER, policy
from tests.workers.integrations.examples import alert as sample
from workers.alert.alert import Alert
from workers.calls import Request, Response
from workers.delivery.batches import CALLS_AT_ONCE, Batches
from workers.delivery.pipeline import Pipeline
from workers.integrations.base import Batching, failure_outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from common.outcome import Outcome

ALERT = sample().raw
REJECTED = 400


class Target:
    """A target that rejects a call with a poisoned alert, and says which one if `tells`; 0 is no response."""

    def __init__(self, poisoned: dict[str, int] | None = None, *, tells: bool = False) -> None:
        self.poisoned, self.tells = poisoned or {}, tells
        self.calls: list[list[str]] = []
        self.held = asyncio.Event()
        self.held.set()

    async def send(self, call: Request) -> Response:
        ids = (call.body or b"").decode().split()
        self.calls.append(ids)
        await self.held.wait()
        bad = [place for place, one in enumerate(ids) if one in self.poisoned]
        status = self.poisoned[ids[bad[0]]] if bad else 200
        if not status:
            raise TransportError(Reason.TIMEOUT, "no response")
        body = str(bad[0]).encode() if bad and self.tells else b""
        return Response(status=status, body=body)


class Service:
    """A service whose call is the id of the delivery."""

    def __init__(self, batch: int = 10, max_batch_bytes: int = 1000) -> None:
        self.batch, self.max_batch_bytes = batch, max_batch_bytes

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        return [Request(method="POST", url="http://x", headers={}, body=alert.delivery_id.encode())]

    def join(self, calls: Sequence[Request]) -> Request:
        body = b" ".join(call.body or b"" for call in calls)
        return Request(method="POST", url="http://x", headers={}, body=body)

    def culprit(self, response: Response) -> int | None:
        return int(response.body) if response.body else None

    def interpret(self, alert: Alert, call: Request, response: Response) -> Outcome:
        del alert, call
        if response.status == REJECTED:
            return Rejected(Reason.HTTP_4XX)
        if response.status == 302:
            return Rejected(Reason.REDIRECT)
        return Delivered() if response.status == 200 else Retry(Reason.HTTP_5XX)

    def interpret_failure(self, alert: Alert, call: Request, error: TransportError) -> Outcome:
        del alert, call
        return failure_outcome(error)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]  # every test of this file is a coroutine function


async def send_all(batches: Batches, ids: Sequence[str], attempt: int = 1) -> list[int | str]:
    """Send all at once; return the status of each, or the reason of its error."""
    (service,) = (Service(),)

    async def one(name: str) -> int | str:
        alert = Alert(ALERT, name, attempt)
        try:
            return int((await batches.send(alert, service.build_calls(alert)[0])).status)
        except TransportError as error:
            return str(error.reason)

    return await asyncio.gather(*map(one, ids))


def names(number: int) -> list[str]:
    return [f"d{n}" for n in range(number)]


async def settle_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_attempts_that_start_together_are_one_call() -> None:
    async def test() -> None:
        target = Target()
        assert await send_all(Batches(Service(), target), names(7)) == [200] * 7
        assert target.calls == [names(7)]

    run(test)


def test_a_call_has_at_most_batch_alerts_and_bytes() -> None:
    async def test() -> None:
        target = Target()
        await send_all(Batches(Service(batch=3), target), names(7))
        assert [len(ids) for ids in target.calls] == [3, 3, 1]
        target.calls.clear()
        await send_all(Batches(Service(max_batch_bytes=5), target), [*names(5), "d" * 9])
        assert target.calls == [["d0", "d1"], ["d2", "d3"], ["d4"], ["d" * 9]]

    run(test)


def test_while_calls_are_in_progress_the_next_ones_gather() -> None:
    async def test() -> None:
        target, batches = Target(), Batches(Service(batch=50), Target())
        batches = Batches(Service(batch=50), target)
        target.held.clear()
        waiting = []
        for n in range(CALLS_AT_ONCE + 20):
            waiting.append(asyncio.ensure_future(send_all(batches, [f"d{n}"])))
            await settle_turns()
        assert [len(ids) for ids in target.calls] == [1] * CALLS_AT_ONCE
        target.held.set()
        assert await asyncio.gather(*waiting) == [[200]] * (CALLS_AT_ONCE + 20)
        assert [len(ids) for ids in target.calls] == [1] * CALLS_AT_ONCE + [20]

    run(test)


def test_a_further_attempt_is_sent_alone_and_waits_for_no_other_call() -> None:
    async def test() -> None:
        target = Target()
        batches = Batches(Service(batch=1000), target)
        target.held.clear()
        hanging = [asyncio.ensure_future(send_all(batches, [f"h{n}"])) for n in range(CALLS_AT_ONCE)]
        await settle_turns()
        target.held.set()
        assert await send_all(batches, names(3), attempt=2) == [200] * 3
        assert target.calls[-3:] == [["d0"], ["d1"], ["d2"]]
        await asyncio.gather(*hanging)

    run(test)


@given(poisoned=st.integers(0, 99))
def test_an_alert_that_makes_its_target_fail_is_the_only_one_that_fails(poisoned: int) -> None:
    async def test() -> None:
        target = Target({f"d{poisoned}": 500})
        statuses = await send_all(Batches(Service(batch=100), target), names(100))
        assert [n for n, status in enumerate(statuses) if status != 200] == [poisoned]

    run(test)


def test_a_target_that_fails_gets_few_requests_more() -> None:
    async def test() -> None:
        target = Target(dict.fromkeys(names(100), 500))
        assert await send_all(Batches(Service(batch=100), target), names(100)) == [500] * 100
        assert len(target.calls) <= 9

    run(test)


@pytest.mark.parametrize("tells", [False, True])
@given(poisoned=st.sets(st.integers(0, 19)))
def test_exactly_the_poisoned_alerts_are_rejected(poisoned: set[int], *, tells: bool) -> None:
    async def test() -> None:
        target = Target({f"d{n}": REJECTED for n in poisoned}, tells=tells)
        statuses = await send_all(Batches(Service(batch=20), target), names(20))
        assert [n for n, status in enumerate(statuses) if status == REJECTED] == sorted(poisoned)
        assert set(statuses) <= {200, REJECTED}
        assert len(target.calls) <= 2 * 20 - 1
        if tells:
            assert len(target.calls) <= 2 * len(poisoned) + 1

    run(test)


def test_a_place_outside_the_batch_is_ignored() -> None:
    class Liar(Service):
        def culprit(self, response: Response) -> int | None:  # noqa: ARG002 — as in the class above
            return 10**9

    async def test() -> None:
        target = Target({"d1": REJECTED})
        assert await send_all(Batches(Liar(), target), names(4)) == [200, REJECTED, 200, 200]

    run(test)


@pytest.mark.parametrize(("status", "expected"), [(503, 503), (0, "timeout"), (302, 302)])
def test_other_failures_are_those_of_the_whole_batch(status: int, expected: int | str) -> None:
    async def test() -> None:
        target = Target({"d1": status})
        assert await send_all(Batches(Service(), target), names(4)) == [expected] * 4
        assert len(target.calls) == 1

    run(test)


def test_a_part_without_a_response_ends_the_others_so_that_they_do_not_wait_as_long_each() -> None:
    async def test() -> None:
        target = Target({"d0": REJECTED, "d1": 0})
        statuses = await send_all(Batches(Service(), target), names(8))
        assert statuses == [REJECTED, *["timeout"] * 7]

    run(test)


def test_an_error_while_joining_reaches_every_attempt() -> None:
    class Broken(Service):
        def join(self, calls: Sequence[Request]) -> Request:
            raise RuntimeError(str(len(calls)))

    async def test() -> None:
        batches = Batches(Broken(), Target())
        sent = [batches.send(Alert(ALERT, name), Request(method="POST", url="", headers={}, body=b"")) for name in "ab"]
        errors = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(error) for error in errors] == [RuntimeError, RuntimeError]

    run(test)


def test_an_attempt_that_was_cancelled_does_not_disturb_the_others() -> None:
    async def test() -> None:
        target = Target()
        target.held.clear()
        batches = Batches(Service(), target)
        first, second = (asyncio.ensure_future(send_all(batches, [name])) for name in ("d0", "d1"))
        await settle_turns()
        first.cancel()
        target.held.set()
        assert await second == [200]

    run(test)


def test_the_pipeline_settles_each_delivery_of_a_batch_by_itself() -> None:
    async def test() -> None:
        target, service = Target({"d2": REJECTED, "d4": 0}), Service()
        assert isinstance(service, Batching)
        pipeline = Pipeline(service, target, policy(), Random(1), signer=SIGNER)
        first = [Delivery(name, Header(committed_ms=1), ALERT, begun_ms=2) for name in names(4)]
        settled = await asyncio.gather(*map(pipeline.attempt, first))
        outcomes = [one.outcome for one in settled]
        assert outcomes == [SettleOutcome.DELIVERED] * 2 + [SettleOutcome.DEAD] + [SettleOutcome.DELIVERED]
        # A batch without a response costs each delivery one attempt; the next one is its own.
        both = [Delivery(name, Header(committed_ms=1), ALERT, begun_ms=2) for name in ("d4", "d5")]
        failed = await asyncio.gather(*map(pipeline.attempt, both))
        assert [one.outcome for one in failed] == [SettleOutcome.RETRY] * 2
        again = [Delivery(one.id, one.header, ALERT, begun_ms=3) for one in failed if one.header]
        settled = await asyncio.gather(*map(pipeline.attempt, again))
        assert [one.outcome for one in settled] == [SettleOutcome.RETRY, SettleOutcome.DELIVERED]

    run(test)
