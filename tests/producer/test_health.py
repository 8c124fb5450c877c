"""The producer's health file, written by its own loop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from common.errors import LedgerUnavailable
from common.health.state_file import HealthFile
from producer.health import ProducerHealth
from tests.support.health_script import ask
from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path

    import redis


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "courier.health"


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    return tmp_path / "alerts.json"


@pytest.fixture
def world(client: redis.Redis, tmp_path: Path, path: Path, alerts: Path) -> World:
    return World(client, tmp_path, health=ProducerHealth(HealthFile(path), "n", alerts))


def test_it_is_healthy_after_a_status_report_only(world: World, path: Path) -> None:
    producer = world.producer()
    producer.run_once()
    assert ask(path)[0] == 1
    world.settle(producer)
    world.settle(producer)
    assert ask(path) == (0, "the producer of node n reports every second\n")


def test_it_is_unhealthy_while_redis_is_unavailable(world: World, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    producer = world.producer()
    world.settle(producer)

    def unavailable(*_: object) -> str:
        raise LedgerUnavailable("Redis cannot write to its disk")

    monkeypatch.setattr(world.ledger, "intake_block_reason", unavailable)
    seen = []

    def pause(_seconds: float) -> None:
        seen.append(ask(path))

    world.clock.now_s += 1
    producer.run(pause, lambda: bool(seen))
    assert seen == [(1, "Redis cannot write to its disk\n")]


def test_it_is_unhealthy_if_it_cannot_read_the_log(
    world: World, path: Path, alerts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.touch()
    producer = world.producer()
    access = os.access  # root can read everything
    monkeypatch.setattr("os.access", lambda name, mode: name != alerts and access(name, mode))
    world.settle(producer)
    world.settle(producer)
    status, text = ask(path)
    assert status == 1
    assert f"{alerts} cannot be read: Permission denied" in text
