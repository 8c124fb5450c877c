"""An attacker who can write cursors loses no alert: the producer continues at its own cursor and logs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.registry.encryption import Cipher
from common.reports.producer import fetch_producer_reports
from producer.cursors.signatures import CursorSigner
from tests.support.sources import ListLog, cursor_before
from tests.support.world import NODE, SHUFFLE_BLOCK, SLACK_BLOCK, World, alert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

CURSOR = "courier:{slack}:cursor"
LINES = 6


@pytest.fixture
def world(client: redis.Redis, tmp_path: Path) -> World:
    return World(client, tmp_path, SLACK_BLOCK.format(""), SHUFFLE_BLOCK)


def signed(world: World, node: str, integration_id: str) -> str:
    return CursorSigner(Cipher(world.key), node).signed(integration_id, cursor_before(LINES))


FORGED: dict[str, Callable[[World], Any]] = {
    "further on, without a signature": lambda _: cursor_before(LINES),
    "with a signature that is none": lambda _: f"{cursor_before(LINES)} {'0' * 64}",
    "that of another integration": lambda world: signed(world, NODE, "shuffle"),
    "that of another node": lambda world: signed(world, "wazuh-2", "slack"),
    "no cursor": lambda _: "\n",
    "no text": lambda _: b"\xff\xfe \xff",
}


def continue_reading(world: World, producer: Any, seconds: int = 3) -> None:
    for _ in range(seconds):
        world.clock.now_s += 1
        producer.run_once()


@pytest.mark.parametrize("forge", FORGED.values(), ids=list(FORGED))
@pytest.mark.parametrize("restarted", [False, True])
def test_a_forged_cursor_loses_no_alert(
    world: World, caplog: pytest.LogCaptureFixture, forge: Callable[[World], Any], restarted: bool
) -> None:
    producer = world.producer()
    world.append(alert(0))
    continue_reading(world, producer)
    world.append(*(alert(n) for n in range(1, LINES)))
    world.client.hset(CURSOR, NODE, forge(world))
    if restarted:
        producer = world.producer()
    continue_reading(world, producer)
    assert len(world.waiting("slack")) == len(world.waiting("shuffle")) == LINES - 1
    assert world.cursor() == cursor_before(LINES)
    assert caplog.text.count("cursor in Redis has no signature") == 1
    (node,) = fetch_producer_reports(world.client)
    assert node.counters["foreign:cursor"] == 1
    assert node.report.foreign_writes.endswith("within the last hour: cursor")
    assert "Redis has lost" not in caplog.text


def test_the_warning_about_a_forged_cursor_ends_after_an_hour(world: World) -> None:
    producer = world.producer()
    continue_reading(world, producer)
    world.client.hset(CURSOR, NODE, cursor_before(9))
    continue_reading(world, producer)
    assert fetch_producer_reports(world.client)[0].report.foreign_writes
    world.clock.now_s += 3600
    continue_reading(world, producer, 1)
    assert fetch_producer_reports(world.client)[0].report.foreign_writes == ""


def test_the_cursor_of_a_removed_block_is_inherited_from_memory(world: World) -> None:
    producer = world.producer()
    continue_reading(world, producer)
    world.append(*(alert(n) for n in range(LINES)))
    world.client.hset(CURSOR, NODE, cursor_before(LINES))
    world.write(SLACK_BLOCK.format("").replace("/a<", "/b<"), SHUFFLE_BLOCK)
    producer.request_reload()
    continue_reading(world, producer)
    assert len(world.waiting("slack")) == LINES


def test_the_signed_cursor_of_a_second_producer_is_accepted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, two = world.producer(), world.producer()
    continue_reading(world, one, 1)
    continue_reading(world, two, 1)
    world.append(*(alert(n) for n in range(LINES)))
    continue_reading(world, one)
    continue_reading(world, two)
    assert "cursor in Redis was moved" in caplog.text
    assert "has no signature" not in caplog.text
    assert world.ledger.status("slack").totals["committed"] == LINES


def test_a_cursor_of_version_01_is_accepted_and_signed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for integration_id in ("slack", "shuffle"):
        world.client.hset(f"courier:{{{integration_id}}}:cursor", NODE, cursor_before(2))
    world.config.with_name("places.json").write_text(json.dumps({"slack": cursor_before(1)}))
    world.append(*(alert(n) for n in range(LINES)))
    producer = world.producer()
    continue_reading(world, producer)
    assert len(world.waiting("slack")) == LINES - 2
    held: Any = world.client.hget(CURSOR, NODE)
    assert CursorSigner(Cipher(world.key), NODE).is_signed("slack", held.decode())
    assert "has no signature" not in caplog.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@example(b"")
@given(st.binary(max_size=90))
def test_no_bytes_in_a_cursor_stop_the_producer(world: World, held: bytes) -> None:
    world.client.flushall()
    world.config.with_name("places.json").unlink(missing_ok=True)
    world.log = ListLog(world.config.parent)
    producer = world.producer()
    continue_reading(world, producer)
    world.append(*(alert(n) for n in range(LINES)))
    world.client.hset(CURSOR, NODE, held)
    continue_reading(world, producer, 4)
    assert len(world.waiting("slack")) == LINES
