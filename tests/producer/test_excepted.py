"""Every alert that an integration reads is not matched, excepted or enqueued: exactly one, and counted once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from common.errors import LedgerUnavailable
from common.ledger import Settlement, SettleOutcome, Unaccounted, unaccounted
from tests.support.world import SHUFFLE_BLOCK, SLACK_BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producer.loop import Producer
    from tests.producer.conftest import NewWorld
    from tests.support.world import World

SLACK = SLACK_BLOCK.format("<level>7</level>")
AGENTS = ("web1", "db1", "build-1")


def alerts(numbers: Iterable[int]) -> list[bytes]:
    """Return alerts of level 5 and 7, rules 0 to 4 and three agents."""
    return [
        json.dumps(
            {
                "id": str(n),
                "rule": {"level": 5 + 2 * (n % 2), "id": str(n % 5)},
                "agent": {"name": AGENTS[n % 3]},
                "location": "x",
            }
        ).encode()
        for n in numbers
    ]


def excepted(world: World, integration_id: str = "slack") -> int:
    return world.ledger.status(integration_id).totals.get("excepted", 0)


def enqueued(world: World, integration_id: str = "slack") -> int:
    """Return the number of enqueued alerts, after the numbers of the integration were found to add up."""
    status = world.ledger.status(integration_id)
    assert unaccounted(status) == Unaccounted(alerts=0, deliveries=0), status
    return status.totals.get("committed", 0)


def read(world: World, integration_id: str = "slack") -> int:
    return world.ledger.status(integration_id).totals.get("read", 0)


def deliver_all(world: World, integration_id: str) -> None:
    for ids in world.ledger.release(integration_id, max_in_flight=99, batch_max=99, lease_s=9, linger_s=0):
        for delivery in world.ledger.begin(integration_id, ids, token="w", lease_s=9):
            world.ledger.settle(
                integration_id, [Settlement(id=delivery.id, outcome=SettleOutcome.DELIVERED)], token="w"
            )


def read_all(world: World, producer: Producer) -> None:
    """Read to the end while everything is delivered, and publish the counts."""
    for _ in range(20):
        world.settle(producer)
        for one in ("slack", "shuffle"):
            deliver_all(world, one)


def test_numbers_add_up_through_full_backlogs_and_outages(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(SLACK, SHUFFLE_BLOCK, max_backlog=4)
    world.conditions |= {
        "slack": {"except_": ("agent.name = build-*", "rule.id = 3")},
        "shuffle": {"only": ("rule.id != 0, 1", "agent.name = web*, db*")},
    }
    producer = world.producer()
    world.settle(producer)
    log = alerts(range(60))
    world.append(*log[:20], b"garbage", log[20] + log[21], *log[22:40])

    def commit(*_args: object, **_kwargs: object) -> None:
        raise LedgerUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(world.ledger, "commit_all", commit)
        for _ in range(3):
            world.clock.now_s += 1
            with pytest.raises(LedgerUnavailable):
                producer.run_once()
    world.settle(producer)
    assert len(world.waiting("shuffle")) == 4, "the backlog is full, so lines are read again"
    world.append(*log[40:])
    read_all(world, producer)

    assert (read(world), read(world, "shuffle")) == (60, 60)
    every = [json.loads(alert) for alert in log]
    passing = [one for one in every if one["rule"]["level"] == 7]
    slack = [one for one in passing if one["agent"]["name"] != "build-1" and one["rule"]["id"] != "3"]
    shuffle = [one for one in every if one["rule"]["id"] not in ("0", "1") and one["agent"]["name"] != "build-1"]
    assert (enqueued(world, "slack"), enqueued(world, "shuffle")) == (len(slack), len(shuffle))
    not_matched = len(every) - len(passing)
    assert len(every) == not_matched + excepted(world, "slack") + enqueued(world, "slack")
    assert len(every) == 0 + excepted(world, "shuffle") + enqueued(world, "shuffle")


def test_integration_that_reads_later_than_others_counts_its_own(new_world: NewWorld) -> None:
    world = new_world(SHUFFLE_BLOCK, start_at="beginning")
    world.append(*alerts(range(10)))
    producer = world.producer()
    world.settle(producer)
    world.conditions["slack"] = {"only": ("agent.name = web1",)}
    world.write(SHUFFLE_BLOCK, SLACK)
    read_all(world, producer)
    assert (enqueued(world), excepted(world), excepted(world, "shuffle")) == (2, 3, 0)
    assert (read(world), read(world, "shuffle")) == (10, 10)


def test_conditions_are_followed_while_running(new_world: NewWorld) -> None:
    world = new_world(SLACK)
    producer = world.producer()
    world.settle(producer)
    world.append(*alerts(range(10)))
    read_all(world, producer)
    world.conditions["slack"] = {"except_": ("agent.name = web1",)}
    world.write(SLACK.replace("<level>7", "<level>6"))
    read_all(world, producer)
    world.append(*alerts(range(10)))
    read_all(world, producer)
    assert (enqueued(world), excepted(world)) == (5 + 3, 2)


def test_restarted_producer_goes_on_counting(new_world: NewWorld) -> None:
    world = new_world(SLACK)
    world.conditions["slack"] = {"except_": ("agent.name = web1",)}
    for _ in range(2):
        producer = world.producer()
        world.settle(producer)
        world.append(*alerts(range(10)))
        read_all(world, producer)
    assert (enqueued(world), excepted(world)) == (6, 4)


def test_numbers_add_up_if_the_conditions_change_while_the_backlog_is_full(new_world: NewWorld) -> None:
    world = new_world(SHUFFLE_BLOCK, max_backlog=2)
    world.conditions["shuffle"] = {"except_": ("agent.name = web1",)}
    producer = world.producer()
    world.settle(producer)
    world.append(*alerts(range(30)))
    world.settle(producer)
    world.conditions["shuffle"] = {"except_": ("agent.name = db1",)}
    world.write(SHUFFLE_BLOCK, SLACK)
    read_all(world, producer)
    assert (excepted(world, "shuffle"), enqueued(world, "shuffle")) == (9 + 1, 18 + 2)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_numbers_add_up_if_the_producer_is_killed_at_any_time(new_world: NewWorld, steps: int) -> None:
    world = new_world(SHUFFLE_BLOCK, max_backlog=5)
    world.conditions["shuffle"] = {"except_": ("agent.name = web1",)}
    world.settle(world.producer())
    for start in range(0, 60, 3):
        world.append(*alerts(range(start, start + 3)))
        killed = world.producer()
        for _ in range(steps):
            world.clock.now_s += 0.3  # no heartbeat, which would publish the status
            killed.run_once()
        deliver_all(world, "shuffle")
    read_all(world, world.producer())
    assert (excepted(world, "shuffle"), enqueued(world, "shuffle")) == (20, 40)
    assert read(world, "shuffle") == 60
