from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from common.broker.task_message import queue_name
from common.errors import LedgerUnavailable, Unhealthy
from common.health.state_file import HealthFile
from common.ledger import Ledger
from common.reports.worker import EXPIRE_S, WorkerReport, fetch_worker_reports
from common.reports.worker import publish_worker_report as publish_for
from ops.admin.health import worker
from tests.support.health_script import ask
from workers.maintenance.heartbeat import Heartbeat
from workers.process_identity import of_child, this_process

if TYPE_CHECKING:
    from pathlib import Path

    import redis

NAME, OURS = "http@host", this_process()


class Counters:
    """The counters of the worker: deliveries begun and in flight."""

    begun = running = 0

    def __call__(self) -> tuple[int, int]:
        return self.begun, self.running


@pytest.fixture
def counters() -> Counters:
    return Counters()


def publish(client: redis.Redis, heartbeat: Heartbeat) -> WorkerReport:
    heartbeat.publish({"slack", "shuffle"})
    return fetch_worker_reports(client, NAME)[str(OURS)]


def test_idle_since_is_reported_while_tasks_are_queued(client: redis.Redis, counters: Counters) -> None:
    heartbeat = Heartbeat(client, NAME, OURS, counters)
    assert publish(client, heartbeat).idle_since_ms == 0
    client.lpush(queue_name("slack"), "task")
    client.lpush(queue_name("shuffle"), "task", "task")
    assert heartbeat.publish({"slack", "shuffle"}) == 3
    first = publish(client, heartbeat)
    assert 0 < first.idle_since_ms <= first.seen_ms
    later = publish(client, heartbeat)
    assert later.seen_ms >= later.idle_since_ms == first.idle_since_ms


def test_working_worker_is_not_idle(client: redis.Redis, counters: Counters) -> None:
    heartbeat = Heartbeat(client, NAME, OURS, counters)
    client.lpush(queue_name("slack"), "task")
    assert publish(client, heartbeat).idle_since_ms
    counters.begun = 1
    assert publish(client, heartbeat).idle_since_ms == 0
    assert publish(client, heartbeat).idle_since_ms
    counters.running = 3
    report = publish(client, heartbeat)
    assert (report.begun, report.running, report.idle_since_ms) == (1, 3, 0)


def test_queues_of_other_integrations_do_not_count(client: redis.Redis, counters: Counters) -> None:
    client.lpush(queue_name("pagerduty"), "task")
    assert publish(client, Heartbeat(client, NAME, OURS, counters)).idle_since_ms == 0


def test_report_of_a_gone_worker_expires(client: redis.Redis, counters: Counters) -> None:
    assert fetch_worker_reports(client, NAME) == {}
    publish(client, Heartbeat(client, NAME, OURS, counters))
    assert 0 < client.ttl(f"courier:worker:{NAME}") <= EXPIRE_S


def test_namesake_is_logged_and_reports_of_dead_workers_are_deleted(
    client: redis.Redis, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    now_ms = Ledger(client).now_ms()
    running, ended, elsewhere = of_child(os.getppid()), OURS._replace(started="1"), OURS._replace(boot="other")
    for process in map(str, (running, ended)):
        publish_for(client, NAME, process, WorkerReport(seen_ms=now_ms, begun=0, running=0, idle_since_ms=0))
    for process, age_s in ((str(elsewhere), 10), ("long-ago-1-2", EXPIRE_S + 1)):
        seen_ms = now_ms - age_s * 1000
        publish_for(client, NAME, process, WorkerReport(seen_ms=seen_ms, begun=0, running=0, idle_since_ms=0))
    client.hset(f"courier:worker:{NAME}", "nonsense", "{}")
    heartbeat = Heartbeat(client, NAME, OURS, counters)
    publish(client, heartbeat)
    publish(client, heartbeat)
    (warning,) = caplog.records
    assert "another worker on this host has the same name" in warning.message
    assert warning.__dict__["pid"] == os.getppid()
    assert set(fetch_worker_reports(client, NAME)) == {str(OURS), str(running), str(elsewhere)}


def without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", text)  # of seconds, which the two count at different moments


def test_health_file_says_what_courier_health_says(
    client: redis.Redis, counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "courier.health"
    heartbeat = Heartbeat(client, NAME, OURS, counters, HealthFile(path))
    client.lpush(queue_name("slack"), "task")
    publish(client, heartbeat)
    assert ask(path) == (0, worker(client, NAME) + "\n")
    monkeypatch.setattr("common.health.checks.IDLE_LIMIT_S", -1)  # the maintenance thread lives, its consumer is stuck
    publish(client, heartbeat)
    with pytest.raises(Unhealthy) as stuck:
        worker(client, NAME)
    status, text = ask(path)
    assert (status, without_numbers(text)) == (1, without_numbers(f"{stuck.value}\n"))
    counters.begun = 1
    publish(client, heartbeat)
    assert ask(path)[0] == 0
    heartbeat.failed(LedgerUnavailable("Redis is unavailable"))
    assert ask(path) == (1, "Redis is unavailable\n")
