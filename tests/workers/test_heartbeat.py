from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.celery_app import queue_name
from common.worker_report import EXPIRE_S, WorkerReport, told
from workers.heartbeat import Heartbeat

if TYPE_CHECKING:
    import redis

NAME = "http@host"


class Load:
    """What the worker has begun, and what it is at."""

    begun = running = 0

    def __call__(self) -> tuple[int, int]:
        return self.begun, self.running


@pytest.fixture
def load() -> Load:
    return Load()


def tell(client: redis.Redis, heartbeat: Heartbeat) -> WorkerReport:
    heartbeat.tell({"slack", "shuffle"})
    report = told(client, NAME)
    assert report
    return report


def test_work_that_lies_is_told_with_the_time_since_when(client: redis.Redis, load: Load) -> None:
    heartbeat = Heartbeat(client, NAME, load)
    assert tell(client, heartbeat).idle_since_ms == 0
    client.lpush(queue_name("slack"), "task")
    first = tell(client, heartbeat)
    assert first.idle_since_ms == first.seen_ms
    later = tell(client, heartbeat)
    assert later.seen_ms >= later.idle_since_ms == first.idle_since_ms


def test_whoever_works_does_not_leave_work_lying(client: redis.Redis, load: Load) -> None:
    heartbeat = Heartbeat(client, NAME, load)
    client.lpush(queue_name("slack"), "task")
    assert tell(client, heartbeat).idle_since_ms
    load.begun = 1
    assert tell(client, heartbeat).idle_since_ms == 0
    assert tell(client, heartbeat).idle_since_ms
    load.running = 3
    report = tell(client, heartbeat)
    assert (report.begun, report.running, report.idle_since_ms) == (1, 3, 0)


def test_the_queues_of_others_do_not_count(client: redis.Redis, load: Load) -> None:
    client.lpush(queue_name("pagerduty"), "task")
    assert tell(client, Heartbeat(client, NAME, load)).idle_since_ms == 0


def test_a_worker_that_is_gone_is_forgotten(client: redis.Redis, load: Load) -> None:
    assert told(client, NAME) is None
    tell(client, Heartbeat(client, NAME, load))
    assert 0 < client.ttl(f"courier:worker:{NAME}") <= EXPIRE_S
