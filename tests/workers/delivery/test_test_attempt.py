"""Deliveries of `courier test` in a worker: one attempt, a report, and no consequences of a failure."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from common.delivery_test import is_test, new_test_id
from common.ledger import Header, Limits
from tests.support.fakes import SLACK, policy
from tests.workers.delivery.test_task import World
from workers.calls import Request, Response
from workers.delivery import test_report
from workers.delivery.task import DeliveryTask
from workers.delivery.test_attempt import TestAttempts
from workers.delivery.test_report import CallReport, DeliveryTestReport
from workers.process_identity import this_process
from workers.rendering import RenderedCall

if TYPE_CHECKING:
    import redis

    from workers.delivery.event_loop import EventLoop

ID = new_test_id(Random(7))


@pytest.fixture(autouse=True)
def loop(event_loop: EventLoop) -> None:
    World.loop = event_loop


class WithReports(World):
    """A world whose task publishes the reports of tests."""

    def __init__(self, client: redis.Redis, *responses: Response) -> None:
        self.sent: list[Request] = []
        self.client, left = client, list(responses)

        def send(call: Request) -> Response:
            self.sent.append(call)
            return left.pop(0)

        super().__init__(client, send)
        dispatcher: Any = self.dispatcher
        self.task = DeliveryTask(
            self.ledger,
            dispatcher,
            self.integrations,
            self.loop,
            identity=this_process(),
            tests=TestAttempts("http@h", lambda i, d, report: test_report.publish(client, i, d, report)),
        )

    def report(self) -> DeliveryTestReport:
        report = test_report.fetch(self.client, "slack", ID)
        assert report is not None
        return report


def test_only_the_ids_of_courier_test_are_tests() -> None:
    assert is_test(ID)
    for other in ("test:0123:456:abcdef", "test:", ID + "0", ID.upper(), f"{ID}+fallback:slack", f"n:{ID}", f"{ID}\n"):
        assert not is_test(other)


def test_a_failure_is_reported_once_and_changes_nothing_else(client: redis.Redis) -> None:
    world = WithReports(client, Response(status=500, body=b"broken: https://hooks.example/services/T0/B0/x"))
    assert world.task.deliver({"slack": world.released(ID)}) == {"skipped": 1}
    status = world.ledger.status("slack")
    assert (status.waiting, status.released, status.dead, status.last_error) == (0, 0, 0, "")
    assert client.hget("courier:{slack}:control", "failures") is None, "the breaker has not seen it"
    report = world.report()
    assert (report.outcome, report.reason, report.status) == ("failed", "http_5xx", 500)
    assert report.worker == "http@h"
    assert report.begun_ms >= report.committed_ms > 0
    assert "broken" in report.calls[0].response
    assert "B0" not in report.calls[0].response
    assert 0 < client.ttl(f"courier:test:{{slack}}:{ID[5:]}") <= test_report.EXPIRE_S


def test_a_delivered_test_is_an_ordinary_success(client: redis.Redis) -> None:
    world = WithReports(client, Response(status=200, body=b"ok"))
    assert world.task.deliver({"slack": world.released(ID)}) == {"delivered": 1}
    assert (world.report().outcome, world.report().calls[0].response) == ("delivered", "ok")
    assert world.ledger.status("slack").totals["delivered"] == 1


@pytest.mark.parametrize("header", [Header(committed_ms=1), Header(committed_ms=2**43, attempts=1, lost_attempts=1)])
def test_a_test_is_not_sent_late_or_twice(client: redis.Redis, header: Header) -> None:
    world = WithReports(client)
    ids = world.released(ID)
    client.hset("courier:{slack}:records", ID, msgspec.json.encode(header) + b"\n{}")
    assert world.task.deliver({"slack": ids}) == {"skipped": 1}
    assert not world.sent
    assert world.report().outcome == "failed"
    assert world.report().detail


@pytest.mark.parametrize(
    "stored",
    [
        b"{",
        b"[" * 100_000,
        b'{"outcome": 1}',
        b'{"outcome": "delivered", "calls": [{"request": {}, "status": ' + b"9" * 5000 + b"}]}",
        b'{"outcome": "' + b"x" * test_report.MAX_BYTES + b'"}',
    ],
)
def test_a_report_that_courier_did_not_write_counts_as_none(client: redis.Redis, stored: bytes) -> None:
    client.set(f"courier:test:{{slack}}:{ID[5:]}", stored)
    assert test_report.fetch(client, "slack", ID) is None
    client.delete(f"courier:test:{{slack}}:{ID[5:]}")
    client.lpush(f"courier:test:{{slack}}:{ID[5:]}", "a list")
    assert test_report.fetch(client, "slack", ID) is None


def test_the_largest_report_can_be_read_again(client: redis.Redis) -> None:
    text = test_report.cut("é" * 10_000)
    rendered = test_report.bounded(RenderedCall(url=text, body=text, argv=[text] * 1000, headers={"a": text}))
    call = CallReport(request=rendered, response=text, error=text)
    report = DeliveryTestReport(outcome="failed", calls=(call,))
    assert len(rendered.argv) == test_report.MAX_PARTS
    assert len(text) == test_report.MAX_TEXT_CHARS + 1
    test_report.publish(client, "slack", ID, report)
    assert test_report.fetch(client, "slack", ID) == report
    test_report.publish(client, "slack", ID, msgspec.structs.replace(report, calls=(call,) * 10))
    assert test_report.fetch(client, "slack", ID) == msgspec.structs.replace(report, calls=())


def test_withdraw_takes_only_what_no_worker_has_begun(client: redis.Redis) -> None:
    world = WithReports(client, Response(status=200))
    world.committed(ID, "other")
    assert world.ledger.withdraw_tests("slack", [ID]) == 1
    assert world.ledger.withdraw_tests("slack", [ID]) == 0
    assert world.ledger.status("slack").waiting == 1
    assert world.ledger.position("slack", ID) is None
    second = new_test_id(Random(8))
    ids = world.released(second)
    assert second in ids
    position = world.ledger.position("slack", second)
    assert position is not None
    assert (position.ahead, position.is_begun) == (None, False)
    world.ledger.begin("slack", [second], token="t", lease_s=60)
    position = world.ledger.position("slack", second)
    assert position is not None
    assert position.is_begun
    assert world.ledger.withdraw_tests("slack", [second]) == 0


def test_a_failed_test_as_the_probe_of_a_breaker_leaves_the_next_probe_to_another_delivery(client: redis.Redis) -> None:
    world = WithReports(client, Response(status=500), Response(status=200))
    world.committed("other")
    client.hset("courier:{slack}:control", mapping={"breaker": "open", "breaker_until_ms": 1})
    assert world.released(ID) == [ID], "the newest is the probe"
    world.task.deliver({"slack": [ID]})
    assert world.ledger.status("slack").breaker == "half-open"
    assert world.dispatcher.dispatched == ["slack"], "waiting deliveries are released"
    limits = Limits.of(policy(), world.registry.target(SLACK))
    ((probe,),) = world.ledger.release("slack", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0, limits=limits)
    assert probe == "other"
    world.task.deliver({"slack": [probe]})
    assert world.ledger.status("slack").breaker == "closed"
