from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from common.broker.celery_app import queue_name
from common.ledger import Ledger
from common.reports.worker import EXPIRE_S, WorkerReport, fetch_worker_reports
from common.reports.worker import publish_worker_report as tell_for
from workers.maintenance.heartbeat import Heartbeat
from workers.process_identity import of_child, this_process

if TYPE_CHECKING:
    import redis

NAME, OURS = "http@host", this_process()


class Load:
    """What the worker has begun, and what it is at."""

    begun = running = 0

    def __call__(self) -> tuple[int, int]:
        return self.begun, self.running


@pytest.fixture
def load() -> Load:
    return Load()


def tell(client: redis.Redis, heartbeat: Heartbeat) -> WorkerReport:
    heartbeat.publish({"slack", "shuffle"})
    return fetch_worker_reports(client, NAME)[str(OURS)]


def test_work_that_lies_is_told_with_the_time_since_when(client: redis.Redis, load: Load) -> None:
    heartbeat = Heartbeat(client, NAME, OURS, load)
    assert tell(client, heartbeat).idle_since_ms == 0
    client.lpush(queue_name("slack"), "task")
    first = tell(client, heartbeat)
    assert first.idle_since_ms == first.seen_ms
    later = tell(client, heartbeat)
    assert later.seen_ms >= later.idle_since_ms == first.idle_since_ms


def test_whoever_works_does_not_leave_work_lying(client: redis.Redis, load: Load) -> None:
    heartbeat = Heartbeat(client, NAME, OURS, load)
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
    assert tell(client, Heartbeat(client, NAME, OURS, load)).idle_since_ms == 0


def test_a_worker_that_is_gone_is_forgotten(client: redis.Redis, load: Load) -> None:
    assert fetch_worker_reports(client, NAME) == {}
    tell(client, Heartbeat(client, NAME, OURS, load))
    assert 0 < client.ttl(f"courier:worker:{NAME}") <= EXPIRE_S


def test_a_worker_of_the_same_name_is_met_with_a_warning_and_dead_ones_are_forgotten(
    client: redis.Redis, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    now_ms = Ledger(client).now_ms()
    running, ended, elsewhere = of_child(os.getppid()), OURS._replace(started="1"), OURS._replace(boot="other")
    for process in map(str, (running, ended)):
        tell_for(client, NAME, process, WorkerReport(seen_ms=now_ms, begun=0, running=0, idle_since_ms=0))
    for process, age_s in ((str(elsewhere), 10), ("long-ago-1-2", EXPIRE_S + 1)):
        seen_ms = now_ms - age_s * 1000
        tell_for(client, NAME, process, WorkerReport(seen_ms=seen_ms, begun=0, running=0, idle_since_ms=0))
    client.hset(f"courier:worker:{NAME}", "nonsense", "{}")
    heartbeat = Heartbeat(client, NAME, OURS, load)
    tell(client, heartbeat)
    tell(client, heartbeat)
    (warning,) = caplog.records
    assert "another worker of this host has the same name" in warning.message
    assert warning.__dict__["pid"] == os.getppid()
    assert set(fetch_worker_reports(client, NAME)) == {str(OURS), str(running), str(elsewhere)}
