from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from random import Random
from threading import Barrier, BrokenBarrierError, Event
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from cryptography.fernet import Fernet

from common.errors import LedgerDamaged, LedgerUnavailable
from common.integration import Integration
from common.ledger import HistoryEntry, Limits, Settle, Settled, Settlement, SettleOutcome
from common.outcome import Delivered, Reason, Retry
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from tests.support.fakes import SIGNATURES, SIGNER, SLACK, NoDispatch, policy
from tests.support.ledger import Ledger
from workers.calls import Request, Response
from workers.delivery.lookup_store import LookupStore
from workers.delivery.served import Selection, ServedIntegrations
from workers.delivery.task import DeliveryTask
from workers.process_identity import ProcessIdentity, this_process
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import redis

    from common.ledger import Delivery
    from common.outcome import Outcome
    from workers.alert.alert import Alert
    from workers.delivery.event_loop import EventLoop

TICKET = Integration(id="custom-ticket", name="custom-ticket")


class Plain:
    """One call per alert; a status below 500 is a delivery."""

    def build_calls(self, alert: Alert) -> Sequence[Request]:
        return [Request(method="POST", url="http://x", headers={}, body=alert.raw)]

    def interpret(self, alert: Alert, call: Request, answer: Response) -> Outcome:
        del alert, call
        return Delivered() if answer.status < 500 else Retry(Reason.HTTP_5XX, f"answered {answer.status}")

    def interpret_failure(self, alert: Alert, call: Request, error: Exception) -> Outcome:
        del alert, call
        return Retry(Reason.CONNECTION_FAILED, str(error))


class LooksUp(Plain):
    """Sends the same look-up for every alert."""

    namespace = "test"

    def cache_key(self, _call: Request) -> str:
        return "the same"

    def cache_entry(self, _call: Request, answer: Response) -> tuple[bytes, float]:
        return answer.body, 60.0

    def from_cache(self, _alert: Alert, _call: Request, _content: bytes) -> Outcome:
        return Delivered()


class Calls:
    def __init__(self, send: Callable[[Request], Response]) -> None:
        self.send = send


class World:
    """A worker's task with a real ledger; `send` is the transport."""

    loop: ClassVar[EventLoop]

    def __init__(
        self,
        client: redis.Redis,
        send: Callable[[Request], Response],
        service: Plain | None = None,
        *,
        concurrency: int = 128,
        history_max: int = 100,
        stop_scripts: Callable[[], object] = lambda: None,
    ) -> None:
        self.ledger, self.dispatcher, self.pauses = Ledger(client), NoDispatch(), list[float]()

        async def sleep(seconds: float) -> None:
            self.pauses.append(seconds)

        settings = policy(concurrency=concurrency, history_max=history_max)
        self.registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
        self.registry.publish("n", [SLACK, TICKET])
        self.integrations = ServedIntegrations(
            self.registry,
            Selection(),
            policy=lambda _integration: settings,
            build=lambda _integration, _policy: (service or Plain(), InThreads(Calls(send))),
            random=Random(1),
            signer=SIGNER,
            lookups=lambda namespace: LookupStore(client, namespace, SIGNATURES),
        )
        self.integrations.refresh()
        dispatcher: Any = self.dispatcher
        self.task = DeliveryTask(
            self.ledger,
            dispatcher,
            self.integrations,
            self.loop,
            identity=this_process(),
            worker="http@host",
            sleep=sleep,
            stop_scripts=stop_scripts,
        )

    def committed(self, *ids: str) -> None:
        self.ledger.commit(
            "slack",
            node="n",
            expected=self.ledger.cursor("slack", "n"),
            cursor=ids[-1],
            deliveries=[(i, json.dumps({"id": i}).encode()) for i in ids],
            max_backlog=1000,
            max_backlog_bytes=10**6,
        )

    def ticket(self, delivery_id: str) -> list[str]:
        """Return the id of a released delivery of the other integration."""
        self.ledger.commit(
            "custom-ticket",
            node="n",
            expected="",
            cursor="c",
            deliveries=[(delivery_id, b"{}")],
            max_backlog=9,
            max_backlog_bytes=10**6,
        )
        self.ledger.release("custom-ticket", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0)
        return [delivery_id]

    def released(self, *ids: str) -> list[str]:
        self.committed(*ids)
        limits = Limits.of(policy(), self.registry.target(SLACK))
        tasks = self.ledger.release("slack", max_in_flight=100, batch_max=10, lease_s=60, linger_s=0, limits=limits)
        return [one for task in tasks for one in task]


@pytest.fixture(autouse=True)
def loop(event_loop: EventLoop) -> None:
    World.loop = event_loop


def test_each_delivery_of_a_task_is_settled_by_its_own_outcome(client: redis.Redis) -> None:
    world = World(client, lambda call: Response(status=500 if b'"b"' in (call.body or b"") else 200))
    assert world.task.deliver({"slack": world.released("a", "b", "c")}) == {"delivered": 2, "retry": 1}
    status = world.ledger.status("slack")
    assert (status.waiting, status.released, status.totals["delivered"]) == (1, 0, 2)
    assert status.last_error == "http_5xx: answered 500"


def test_settle_releases_and_publishes_what_waits(client: redis.Redis) -> None:
    world = World(client, lambda _: Response(status=200))
    first, second = world.released("a"), world.released("b")
    world.task.deliver({"slack": first})
    assert world.dispatcher.dispatched == []  # nothing waits
    world.committed("c", "d")
    world.task.deliver({"slack": second})
    assert world.dispatcher.dispatched == ["slack"]  # with a round trip of its own; the next settlement releases itself
    assert world.dispatcher.published == []
    limits = Limits.of(policy(), world.registry.target(SLACK))
    tasks = world.ledger.release("slack", max_in_flight=1, batch_max=1, lease_s=60, linger_s=0, limits=limits)
    world.task.deliver({"slack": tasks[0]})
    assert world.dispatcher.published == [("slack", [["d"]])]
    assert world.dispatcher.dispatched == ["slack"]
    assert world.ledger.status("slack").released == 1


def test_task_can_carry_deliveries_of_several_integrations(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(client, lambda _: Response(status=200))
    ids, others = world.released("a", "b"), world.ticket("t")
    real, settled_together = world.ledger.settle_all, list[set[str]]()

    def settle_all(wanted: Mapping[str, Settle], **named: Any) -> dict[str, Settled | LedgerDamaged]:
        settled_together.append(set(wanted))
        return real(wanted, **named)

    monkeypatch.setattr(world.ledger, "settle_all", settle_all)
    monkeypatch.setattr("workers.delivery.settlements.SETTLE_DELAY_S", 0.2)
    outcomes = world.task.deliver({"slack": ids, "custom-ticket": others, "nobody": ["x", "y"]})
    assert outcomes == {"delivered": 3, "unknown": 2}
    assert world.ledger.status("slack").totals["delivered"] == 2
    assert world.ledger.status("custom-ticket").totals["delivered"] == 1
    assert {"slack", "custom-ticket"} in settled_together


def test_damaged_integration_of_a_task_costs_only_itself(client: redis.Redis) -> None:
    world = World(client, lambda _: Response(status=200))
    ids, others = world.released("a"), world.ticket("t")
    damaged = "courier:{custom-ticket}:leases"
    client.delete(damaged)
    client.set(damaged, "not a hash")
    assert world.task.deliver({"custom-ticket": others, "slack": ids}) == {"delivered": 1, "not_begun": 1}
    client.delete(damaged)
    assert world.task.deliver({"custom-ticket": others}) == {"delivered": 1}


def test_integration_that_is_damaged_when_it_settles_costs_only_itself(client: redis.Redis) -> None:
    damaged = "courier:{custom-ticket}:dead"
    both_sent = Barrier(2)

    def send(_call: Request) -> Response:
        both_sent.wait(30)
        client.set(damaged, "not a sorted set")
        return Response(status=200)

    world = World(client, send)
    ids, others = world.released("a"), world.ticket("t")

    async def repair(_seconds: float) -> None:
        if world.ledger.status("slack").totals.get("delivered"):
            client.delete(damaged)
        await asyncio.sleep(0.01)

    world.task._settler._sleep = repair  # between the attempts to settle the damaged one by itself
    assert world.task.deliver({"slack": ids, "custom-ticket": others}) == {"delivered": 2}
    assert world.ledger.status("custom-ticket").totals["delivered"] == 1


def test_internal_error_while_settling_costs_only_the_integration_that_causes_it(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(client, lambda _: Response(status=200))
    ids, others = world.released("a"), world.ticket("t")
    real = world.ledger.settle_all

    def settle_all(wanted: Mapping[str, Settle], **named: Any) -> dict[str, Settled | LedgerDamaged]:
        if "custom-ticket" in wanted:
            raise ZeroDivisionError
        return real(wanted, **named)

    monkeypatch.setattr(world.ledger, "settle_all", settle_all)
    world.task.deliver({"slack": ids, "custom-ticket": others})
    assert world.ledger.status("slack").totals["delivered"] == 1
    assert world.ledger.status("custom-ticket").released == 1
    assert "settle failed: internal error" in caplog.text
    assert world.task.counters() == (2, 0)


def test_each_delivery_that_ends_gets_an_entry_in_the_history(client: redis.Redis) -> None:
    world = World(client, lambda call: Response(status=500 if b'"b"' in (call.body or b"") else 200))
    world.task.deliver({"slack": world.released("a", "b")})
    (found,) = world.ledger.history(["slack"])
    assert isinstance(found, HistoryEntry)
    assert (found.delivery, found.outcome, found.reason) == ("a", "delivered", "")
    facts = found.facts
    assert (facts.alert_id, facts.attempts, facts.worker) == ("a", 1, "http@host")
    assert 0 < facts.committed_ms <= facts.first_attempt_ms <= found.ended_ms
    assert facts.attempt_ms is not None


def test_zero_entries_keep_no_history(client: redis.Redis) -> None:
    world = World(client, lambda _: Response(status=200), history_max=0)
    world.task.deliver({"slack": world.released("a")})
    assert list(world.ledger.history(["slack"])) == []


def test_record_keeps_the_last_response_redacted(client: redis.Redis) -> None:
    world = World(
        client,
        lambda _: Response(status=500, body=b"no hook at https://hooks.example/services/T0/B0/x or /services/T0/B0/x"),
    )
    world.task.deliver({"slack": world.released("a")})
    (record,) = client.hvals("courier:{slack}:records")
    assert b'500,"no hook at ' in record
    assert b"B0" not in record


def test_deliveries_of_one_task_run_concurrently(client: redis.Redis) -> None:
    together = Barrier(5)

    def send(_call: Request) -> Response:
        try:
            together.wait(10)
        except BrokenBarrierError:
            return Response(status=500)
        return Response(status=200)

    world = World(client, send)
    assert world.task.deliver({"slack": world.released(*"abcde")}) == {"delivered": 5}


def test_duplicate_task_delivers_once(client: redis.Redis) -> None:
    sent: list[Request] = []

    def send(call: Request) -> Response:
        sent.append(call)
        return Response(status=200)

    world = World(client, send)
    ids = world.released("a")
    assert world.task.deliver({"slack": ids}) == {"delivered": 1}
    assert world.task.deliver({"slack": ids}) == {}
    assert len(sent) == 1


def test_task_for_an_unserved_integration_is_ignored(client: redis.Redis) -> None:
    world = World(client, lambda _call: Response(status=200))
    assert world.task.deliver({"nobody": ["x"]}) == {"unknown": 1}


def test_settle_is_retried_while_redis_is_unavailable(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids = world.released("a")
    real, failures = world.ledger.settle_all, [LedgerUnavailable("unavailable")] * 4

    def settle_all(*args: Any, **kwargs: Any) -> dict[str, Settled | LedgerDamaged]:
        if failures:
            raise failures.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(world.ledger, "settle_all", settle_all)
    world.task.deliver({"slack": ids})
    assert world.ledger.status("slack").totals["delivered"] == 1
    assert world.pauses == [0.1, 0.5, 1]


def test_begin_without_redis_leaves_the_task_to_its_lease(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids = world.released("a")

    def begin(*_args: Any, **_kwargs: Any) -> None:
        raise LedgerUnavailable("unavailable")

    monkeypatch.setattr(world.ledger, "begin_all", begin)
    assert world.task.deliver({"slack": ids}) == {"not_begun": 1}
    assert world.ledger.status("slack").released == 1


def test_delivery_in_flight_keeps_its_lease(client: redis.Redis) -> None:
    expiries: list[float] = []

    def send(_call: Request) -> Response:
        before = client.zscore("courier:{slack}:released", "a")
        world.task.renew("slack", 3600)
        after = client.zscore("courier:{slack}:released", "a")
        expiries.extend(float(str(value)) for value in (before, after))
        return Response(status=200)

    world = World(client, send)
    world.task.deliver({"slack": world.released("a")})
    assert expiries[1] - expiries[0] > 3_000_000


def test_breaker_opening_is_logged_once_and_the_rest_waits(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(client, lambda _call: Response(status=500))
    ids = world.released(*(f"{n:02}" for n in range(30)))
    assert world.task.deliver({"slack": ids[:20]}) == {"retry": 20}
    assert world.task.deliver({"slack": ids[20:]}) == {}
    status = world.ledger.status("slack")
    assert (status.breaker, status.waiting, status.totals["put_back"]) == ("open", 30, 10)
    assert [r.message for r in caplog.records if "breaker opened" in r.message] == ["circuit breaker opened"]


def test_deliveries_not_started_when_the_breaker_opens_are_returned(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, opened = count(1), Event()

    def send(_call: Request) -> Response:
        if next(numbers) > 10:
            opened.wait(30)
        return Response(status=500)

    world = World(client, send, concurrency=2)
    real = world.ledger.settle_all

    def settle_all(wanted: Mapping[str, Settle], **named: Any) -> dict[str, Settled | LedgerDamaged]:
        settled = real(wanted, **named)
        if any(one.outcome == "returned" for one in wanted["slack"].settlements):
            opened.set()
        return settled

    monkeypatch.setattr(world.ledger, "settle_all", settle_all)
    ids = world.released(*(f"{n:03}" for n in range(100)))
    assert world.task.deliver({"slack": ids}) == {"retry": 12, "returned": 88}
    status = world.ledger.status("slack")
    assert (status.breaker, status.waiting, status.released) == ("open", 100, 0)


def test_target_that_requests_a_pause_is_paused(client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    class Limited(Plain):
        def interpret(self, alert: Alert, call: Request, answer: Response) -> Outcome:
            del alert, call, answer
            return Retry(Reason.RATE_LIMITED, "slow down", after_s=60)

    world = World(client, lambda _call: Response(status=429), Limited())
    assert world.task.deliver({"slack": world.released("a")}) == {"retry": 1}
    assert world.ledger.status("slack").target_until_ms > world.ledger.now_ms() + 50_000
    assert world.released("b") == []
    assert "target requested a pause" in caplog.text


def test_refresh_rebuilds_only_changed_integrations(client: redis.Redis) -> None:
    world = World(client, lambda _call: Response(status=200))
    assert world.integrations.ids() == {"slack", "custom-ticket", "manager"}
    kept = world.integrations.get("slack")
    world.registry.publish("n", [SLACK, Integration(id="custom-ticket", name="custom-ticket", level=7)])
    assert world.integrations.refresh()
    assert not world.integrations.refresh()
    assert world.integrations.get("slack") is kept
    ticket = world.integrations.get("custom-ticket")
    assert ticket is not None
    assert ticket.integration.level == 7


def test_task_delivers_although_its_integration_was_removed_meanwhile(client: redis.Redis) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids, begin = world.released("a"), world.ledger.begin_all

    def begin_as_it_goes(*arguments: Any, **named: Any) -> dict[str, list[Delivery]]:
        begun = begin(*arguments, **named)
        client.delete("courier:integrations")
        assert world.integrations.refresh()
        assert world.integrations.get("slack") is None
        return begun

    world.ledger.begin_all = begin_as_it_goes  # type: ignore[method-assign]  # in the middle of the task
    assert world.task.deliver({"slack": ids}) == {"delivered": 1}


def test_removed_integration_is_served_until_it_is_empty(client: redis.Redis) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids = world.released("a")
    world.registry.publish("n", [])
    world.integrations.refresh()
    assert world.task.deliver({"slack": ids}) == {"delivered": 1}


def test_late_failure_with_a_lost_lease_changes_nothing(client: redis.Redis) -> None:
    def send(_call: Request) -> Response:
        client.hset("courier:{slack}:leases", "a", "somebody-else")
        return Response(status=500)

    world = World(client, send)
    world.task.deliver({"slack": world.released("a")})
    assert (
        world.ledger.settle("slack", [Settlement(id="a", outcome=SettleOutcome.DELIVERED)], token="somebody-else").count
        == 1
    )


def test_delivery_that_is_still_attempted_is_not_begun_again(client: redis.Redis) -> None:
    again: list[dict[str, int]] = []

    def send(_call: Request) -> Response:
        world.ledger.expire("slack", world.ledger.leases("slack"))  # as if this worker had been stalled
        assert world.ledger.reap("slack", queued=(), lease_s=60).lost == 1
        limits = Limits.of(policy(), world.registry.target(SLACK))
        (ids,) = world.ledger.release("slack", max_in_flight=100, batch_max=10, lease_s=60, linger_s=0, limits=limits)
        again.append(world.task.deliver({"slack": ids}))
        return Response(status=200)

    world = World(client, send)
    assert world.task.deliver({"slack": world.released("a")}) == {"delivered": 1}
    assert again == [{}]
    assert world.task.counters() == (1, 0)


def test_delivery_that_comes_back_at_once_is_begun_again(client: redis.Redis) -> None:
    world = World(client, lambda _call: Response(status=500))
    ids, outcomes = world.released("a"), list[dict[str, int]]()
    world.committed("b")  # the settlement of the first releases it

    def dispatch_all(*_: object, **_named: object) -> int:
        if not outcomes:  # as a task of the next release would, before the first one has ended
            client.zadd("courier:{slack}:waiting", {"a": 1})
            outcomes.append({})
            limits = Limits.of(policy(), world.registry.target(SLACK))
            world.ledger.release("slack", max_in_flight=9, batch_max=9, lease_s=60, linger_s=0, limits=limits)
            outcomes[0] = {"begun": len(world.task._begin({"slack": served}, {"slack": ids})["slack"])}
        return 0

    served: Any = world.integrations.get("slack")
    world.dispatcher.dispatch_all = dispatch_all  # type: ignore[method-assign]  # right behind the settlement
    world.task.deliver({"slack": ids})
    assert outcomes == [{"begun": 1}]


def test_integration_whose_settle_waits_delays_no_other(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids, waits, goes_on = world.released("a"), Event(), Event()
    real = world.ledger.settle_all

    def settle_all(wanted: Mapping[str, Settle], **named: Any) -> dict[str, Settled | LedgerDamaged]:
        if "slack" in wanted:
            waits.set()
            goes_on.wait(30)
        return real(wanted, **named)

    monkeypatch.setattr(world.ledger, "settle_all", settle_all)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(world.task.deliver, {"slack": ids})
        assert waits.wait(30)
        assert world.task.deliver({"custom-ticket": world.ticket("t")}) == {"delivered": 1}
        assert not slow.done()
        goes_on.set()
        assert slow.result(30) == {"delivered": 1}


def test_leases_of_a_dead_local_worker_are_reclaimed_immediately(client: redis.Redis) -> None:
    released: list[int] = []
    world = World(
        client,
        lambda _call: Response(status=200),
        stop_scripts=lambda: released.append(world.ledger.reap("slack", queued=(), lease_s=60).lost),
    )
    ids = world.released("a", "b")
    dead = this_process()._replace(started="1")
    elsewhere = this_process()._replace(boot="another", started="1")
    world.ledger.begin("slack", ["a"], token=f"{dead}:x", lease_s=3600)
    world.ledger.begin("slack", ["b"], token=f"{elsewhere}:x", lease_s=3600)
    world.task.reclaim_leases("slack")
    assert released == [0]  # their scripts are stopped before the deliveries come back
    assert world.ledger.reap("slack", queued=(), lease_s=60).lost == 1
    assert world.ledger.status("slack").waiting == 1
    assert ids == ["a", "b"]


def test_lease_holder_is_checked_once_for_all_its_leases(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(client, lambda _call: Response(status=200))
    ids = world.released(*"abcde")
    dead = this_process()._replace(started="1")
    for one in ids:
        world.ledger.begin("slack", [one], token=f"{dead}:{one}", lease_s=3600)
    checked: list[str] = []

    def is_gone(_self: ProcessIdentity, token: str) -> bool:
        checked.append(token)
        return True

    monkeypatch.setattr(ProcessIdentity, "has_exited", is_gone)
    world.task.reclaim_leases("slack")
    assert checked == [str(dead)]
    assert world.ledger.reap("slack", queued=(), lease_s=60).lost == 5


def test_delivery_waits_for_a_concurrent_look_up_without_an_attempt(client: redis.Redis) -> None:
    sent: list[Request] = []

    def send(call: Request) -> Response:
        sent.append(call)
        return Response(status=200, body=b"known")

    world = World(client, send, LooksUp())
    lookups = LookupStore(client, "test", SIGNATURES)
    assert lookups.acquire("the same")
    assert world.task.deliver({"slack": world.released("a")}) == {"postponed": 1}
    status = world.ledger.status("slack")
    assert (status.waiting, status.totals["postponed"], status.last_error, sent) == (1, 1, "", [])
    lookups.put("the same", b"known", 60)
    assert world.task.deliver({"slack": world.released("b")}) == {"delivered": 1}
    assert sent == []
