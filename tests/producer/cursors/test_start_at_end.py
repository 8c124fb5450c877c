"""`start_at = "end"` is the time when the command was started, or when the block was added."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from common.process import started_at
from producer.alertlog import AlertLog
from producer.loop import Start
from tests.support.sources import FileLog
from tests.support.world import SHUFFLE_BLOCK, SLACK_BLOCK, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from producer.loop import Producer


class Logging(World):
    """A producer whose command was started when the log ended at `start`.

    It reads the alert log alone, because the times of its lines matter here.
    """

    def __init__(self, client: redis.Redis, directory: Path) -> None:
        super().__init__(client, directory, log=FileLog)
        self.path = directory / "alerts.json"
        self.alert_log = AlertLog(self.path, max_line_bytes=10_000)
        self.start = self.alert_log.at(datetime.now(UTC))

    def alert(self, written: datetime) -> None:
        self.append(b'{"timestamp":"%s","rule":{"level":5,"id":"1"}}' % written.isoformat().encode())

    def begin(self) -> Producer:
        producer = self.producer(Start(self.start, self.alert_log.at))
        self.settle(producer)
        self.settle(producer)
        return producer


@pytest.fixture
def world(client: redis.Redis, tmp_path: Path) -> Iterator[Logging]:
    world = Logging(client, tmp_path)
    yield world
    world.close()
    world.alert_log.close()


def test_alert_between_launch_and_first_read_is_enqueued(world: Logging) -> None:
    world.alert(datetime.now(UTC))
    world.begin()
    assert len(world.waiting()) == 1


@pytest.mark.parametrize("running", [True, False])
def test_block_starts_at_the_end_at_the_time_it_was_added(world: Logging, running: bool) -> None:
    producer = world.begin()
    world.alert(datetime.now(UTC) - timedelta(seconds=5))
    world.settle(producer)
    world.settle(producer)
    world.write(SLACK_BLOCK.format(""), SHUFFLE_BLOCK)
    os.utime(world.config, (1, 1))  # a copy can keep an old time: that is not when it came here
    world.alert(datetime.now(UTC) + timedelta(seconds=5))
    world.settle(producer) if running else world.begin()
    assert (len(world.waiting("slack")), len(world.waiting("shuffle"))) == (2, 1)


def test_process_knows_its_start_time() -> None:
    assert timedelta(0) < datetime.now(UTC) - started_at() < timedelta(hours=3)


def test_time_near_the_end_of_a_long_log_is_found(world: Logging) -> None:
    start = datetime(2024, 5, 11, tzinfo=UTC)
    line = b'{"timestamp":"%s","x":"' + b"x" * 1000 + b'"}\n'
    lines = [line % (start + timedelta(seconds=n)).isoformat().encode() for n in range(10_000)]
    world.path.write_bytes(b"".join(lines))
    found = world.alert_log.at(start + timedelta(seconds=9_000))
    assert world.alert_log.read(found, 1).lines[0].raw == lines[9_000][:-1]
