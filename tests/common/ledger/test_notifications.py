from __future__ import annotations

import json
import re
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest

from common.integration import MANAGER_ID
from common.ledger import (
    Attempt,
    Breaker,
    Delivery,
    FallbackOf,
    Header,
    Limits,
    Notifications,
    Reaped,
    Settlement,
    SettleOutcome,
)
from tests.support.fakes import SIGNER, Clock, policy
from tests.support.ledger import Ledger
from workers.alert.alert import Alert
from workers.integrations.manager import Manager

if TYPE_CHECKING:
    import redis

LIMITS = Limits(breaker=Breaker(failures=3, pause_s=10, pause_max_s=40))
NOTIFICATIONS = Notifications(fallback="backup", interval_s=600, lag_s=900)
ALERT = b'{"level":1.10}'
TOKEN = "w"


class World:
    """A ledger whose clock a test sets."""

    def __init__(self, client: redis.Redis) -> None:
        self.clock = Clock()
        self.ledger = Ledger(client, clock=self.clock)
        self._cursors = count()

    def commit(self, *ids: str, to: str = "slack") -> None:
        self.ledger.commit(
            to,
            node="n",
            expected=self.ledger.cursor(to, "n"),
            cursor=str(next(self._cursors)),
            deliveries=[(i, ALERT) for i in ids],
            max_backlog=1000,
            max_backlog_bytes=10**6,
        )

    def begin(self, of: str = "slack") -> list[Delivery]:
        tasks = self.ledger.release(of, max_in_flight=100, batch_max=10, lease_s=60, linger_s=0, limits=LIMITS)
        return self.ledger.begin(of, [i for t in tasks for i in t], token=TOKEN, lease_s=60, limits=LIMITS)

    def end(
        self,
        delivery: Delivery,
        outcome: str,
        reason: str,
        *,
        of: str = "slack",
        notifications: Notifications = NOTIFICATIONS,
    ) -> None:
        attempt = Attempt(delivery.begun_ms, reason, "x")
        origin = delivery.header.fallback_of
        header = Header(committed_ms=delivery.header.committed_ms, attempts=1, history=(attempt,), fallback_of=origin)
        settlement = Settlement(id=delivery.id, outcome=SettleOutcome(outcome), reason=reason, header=header)
        error = f'{reason}: "x"\n%s'
        self.ledger.settle(
            of,
            [settlement],
            token=TOKEN,
            limits=LIMITS,
            notifications=notifications,
            last_error=error,
            last_error_mac=SIGNER.sign_error(of, error),
        )

    def bury(
        self, *ids: str, of: str = "slack", reason: str = "http_4xx", notifications: Notifications = NOTIFICATIONS
    ) -> None:
        self.commit(*ids, to=of)
        for delivery in self.begin(of):
            self.end(delivery, "dead", reason, of=of, notifications=notifications)

    def reap(self, notifications: Notifications = NOTIFICATIONS) -> Reaped:
        return self.ledger.reap("slack", queued=(), lease_s=60, notifications=notifications)

    def pass_s(self, seconds: float) -> None:
        self.clock.now_s += seconds

    def events(self) -> list[dict[str, Any]]:
        """Return the events queued for the manager, in order of time, and settle them."""
        events = []
        for delivery in self.begin(MANAGER_ID):
            (datagram,) = Manager(SIGNER).build_calls(Alert(delivery.alert, delivery.id))
            head, _, message = datagram.payload.decode().partition(":courier:")
            fields = json.loads(message)
            assert (head, fields.pop("integration"), set(fields)) == ("1", "courier", {"courier"})
            events.append(fields["courier"])
            self.ledger.settle(MANAGER_ID, [Settlement(id=delivery.id, outcome=SettleOutcome.DELIVERED)], token=TOKEN)
        return events


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def test_dead_letter_stays_and_its_alert_goes_to_the_fallback(world: World) -> None:
    world.bury("a")
    (letter,) = world.ledger.dead_letters("slack")
    assert letter.delivery.id == "a"
    (delivery,) = world.begin("backup")
    assert (delivery.id, delivery.alert) == ("a+fallback:slack", ALERT)
    assert delivery.header == Header(
        committed_ms=round(1000 * world.clock()), fallback_of=FallbackOf("slack", "http_4xx")
    )
    assert world.ledger.status("slack").totals["fell_back"] == 1
    assert world.ledger.replay("slack", ["a"]) == 1


def test_fallback_delivery_has_no_further_fallback(world: World) -> None:
    world.bury("a")
    (delivery,) = world.begin("backup")
    world.end(
        delivery, "dead", "unauthorized", of="backup", notifications=Notifications(fallback="slack", interval_s=600)
    )
    assert world.ledger.status("backup").dead == 1
    assert world.ledger.status("slack").waiting == 0
    assert world.ledger.replay("backup", [delivery.id]) == 1
    (again,) = world.begin("backup")
    assert again.header.fallback_of == FallbackOf("slack", "http_4xx")


def test_two_integrations_can_share_a_fallback(world: World) -> None:
    world.bury("a")
    world.bury("a", of="shuffle")
    assert {d.id for d in world.begin("backup")} == {"a+fallback:slack", "a+fallback:shuffle"}


def test_default_notifies_nobody(world: World) -> None:
    world.bury("a", notifications=Notifications())
    assert (world.ledger.status("backup").waiting, world.events()) == (0, [])
    assert "fell_back" not in world.ledger.status("slack").totals


def test_delivery_that_crashes_workers_goes_to_the_fallback(world: World) -> None:
    world.commit("a")
    for _ in range(10):
        assert len(world.begin()) == 1
        world.pass_s(61)
        last = world.reap()
    assert last == Reaped(1, 0, 1)
    assert [d.header.fallback_of for d in world.begin("backup")] == [FallbackOf("slack", "worker_lost")]
    assert [(e["event"], e["reason"]) for e in world.events()] == [("dead_letters", "worker_lost")]


def test_first_dead_letter_is_notified_at_once_others_together(world: World) -> None:
    world.bury("a")
    (first,) = world.events()
    assert first == {"event": "dead_letters", "integration": "slack", "number": 1, "dead": 1, "reason": "http_4xx"}
    world.bury("b")
    world.bury("c", reason="unauthorized")
    world.reap()
    assert world.events() == []
    world.pass_s(600)
    for _ in range(3):
        world.reap()
    (later,) = world.events()
    assert later == first | {"number": 2, "dead": 3, "reason": "unauthorized"}
    world.pass_s(600)
    world.reap()
    assert world.events() == []
    world.bury("d")
    assert [e["number"] for e in world.events()] == [1]


def test_open_breaker_is_notified_once_until_it_closes(world: World) -> None:
    def fail(*ids: str) -> None:
        world.commit(*ids)
        for delivery in world.begin():
            world.end(delivery, "retry", "http_5xx")

    fail("a", "b", "c")
    assert world.events() == [{"event": "breaker_opened", "integration": "slack", "last_error": 'http_5xx: "x"\n%s'}]
    world.pass_s(10)
    fail("d")  # the probe
    assert world.ledger.status("slack").totals["breaker_opened"] == 2
    assert world.events() == []
    world.pass_s(20)
    world.end(world.begin()[0], "delivered", "")
    fail("e", "f", "g")
    assert [e["event"] for e in world.events()] == ["breaker_opened"]


def test_lag_is_notified_once_until_it_is_over(world: World) -> None:
    world.commit("a", "b")
    world.pass_s(899)
    world.reap()
    assert world.events() == []
    for _ in range(30):
        world.pass_s(1)
        world.reap()
    (event,) = world.events()
    assert 900 <= event.pop("oldest_s") <= 909
    assert event == {"event": "lagging", "integration": "slack", "waiting": 2}
    for delivery in world.begin():
        world.end(delivery, "delivered", "")
    world.pass_s(600)
    world.reap()
    world.commit("c")
    world.pass_s(1000)
    world.reap()
    assert [e["event"] for e in world.events()] == ["lagging"]


def test_replayed_dead_letter_does_not_lag(world: World) -> None:
    world.bury("a")
    world.events()
    world.pass_s(7 * 86_400)
    world.ledger.replay("slack", ["a"], after_s=3600)
    world.pass_s(3600 + 890)
    world.reap()
    assert world.events() == []
    world.pass_s(20)
    world.reap()
    assert [e["event"] for e in world.events()] == ["lagging"]


def test_replay_by_the_previous_version_does_not_lag(world: World, client: redis.Redis) -> None:
    world.bury("a")
    world.events()
    world.pass_s(7 * 86_400)
    world.ledger.replay("slack", ["a"], after_s=3600)
    records = "courier:{slack}:records"
    record = cast("bytes", client.hget(records, "a"))
    assert b'"replayed_ms":' in record
    client.hset(records, "a", re.sub(rb'"replayed_ms":\d+', b'"since_ms":%d' % world.ledger.now_ms(), record))
    world.reap()
    assert world.events() == []


def test_disabled_notifications_are_not_sent(world: World) -> None:
    disabled = Notifications.of(policy(self_alerts=False), "slack", "backup")
    world.bury("a", notifications=disabled)
    world.commit("b")
    world.pass_s(1000)
    world.reap(disabled)
    world.reap(Notifications.of(policy(self_alert_lag_s=None), "slack", ""))
    assert world.events() == []
    assert world.ledger.status("backup").waiting == 1


def test_manager_integration_has_no_notifications() -> None:
    assert Notifications.of(policy(), MANAGER_ID, "slack") == Notifications()
