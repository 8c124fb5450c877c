"""An integration whose keys in Redis are damaged keeps its cursor; the others continue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.ledger.keys import KEY_NAMES
from common.reports.producer import fetch_producer_reports
from tests.support.world import NODE, SHUFFLE_BLOCK, SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from tests.producer.conftest import NewWorld


@pytest.fixture
def world(new_world: NewWorld) -> World:
    return new_world(SLACK_BLOCK.format(""), SHUFFLE_BLOCK)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("part", KEY_NAMES)
def test_damaged_integration_keeps_its_cursor_and_continues(world: World, part: str, *, restarted: bool) -> None:
    producer = world.producer()
    producer.run_once()
    world.settle(producer)
    key = f"courier:{{slack}}:{part}"
    world.client.set(key, "x")
    world.append(*(alert(n) for n in range(3)))
    if restarted:
        producer = world.producer()
    world.settle(producer)
    world.settle(producer)
    assert world.waiting("shuffle") == world.ids(0, 1, 2)
    assert world.committed("shuffle") == 3
    world.client.delete(key)
    world.append(alert(3))
    for _ in range(4):
        world.settle(producer)
    assert world.waiting("slack") == world.ids(0, 1, 2, 3)
    assert world.waiting("shuffle") == world.ids(0, 1, 2, 3)


def test_new_integration_with_a_damaged_key_is_left_out(world: World) -> None:
    world.client.set("courier:{slack}:waiting", "x")
    producer = world.producer()
    producer.run_once()
    world.append(alert(0))
    world.settle(producer)
    assert world.waiting("shuffle") == world.ids(0)
    world.client.delete("courier:{slack}:waiting")
    world.settle(producer)
    world.append(alert(1))
    world.settle(producer)
    assert world.waiting("shuffle") == world.ids(0, 1)
    assert world.waiting("slack")[-1:] == world.ids(1)


def test_damaged_report_key_stops_only_the_report(world: World) -> None:
    world.client.set(f"courier:node:{NODE}", "x")
    world.client.hset("courier:node:other", mapping={"n:lines": "x", b"\xff": "y", "seen_ms": "z"})
    producer = world.producer()
    producer.run_once()
    world.append(alert(0))
    world.settle(producer)
    assert world.waiting("slack") == world.ids(0)
    assert [report.node for report in fetch_producer_reports(world.client)] == ["other", NODE]
