from __future__ import annotations

import pytest

from workers.celery_worker.watchdog import EX_TEMPFAIL, STALLED_CHECKS, Watchdog


class Worker:
    """The state that the watchdog checks, and the exit statuses that it used."""

    def __init__(self) -> None:
        self.queued, self.begun, self.free = 1, 0, True
        self.exits: list[int] = []
        self.watchdog = Watchdog(begun=lambda: self.begun, free=lambda: self.free, end=self.exits.append)

    def check(self, times: int) -> None:
        for _ in range(times):
            self.watchdog.check(self.queued)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_worker_that_begins_nothing_while_tasks_are_queued_exits(worker: Worker) -> None:
    worker.check(STALLED_CHECKS - 1)
    assert worker.exits == []
    worker.check(1)
    assert worker.exits == [EX_TEMPFAIL]


def test_one_begun_task_resets_the_count(worker: Worker) -> None:
    for _ in range(3):
        worker.check(STALLED_CHECKS - 1)
        worker.begun += 1
        worker.check(1)
    assert worker.exits == []


@pytest.mark.parametrize(("name", "value"), [("queued", 0), ("free", False)])
def test_no_queued_task_or_no_free_slot_is_not_a_stall(worker: Worker, name: str, value: int) -> None:
    setattr(worker, name, value)
    worker.check(STALLED_CHECKS * 2)
    assert worker.exits == []


def test_time_without_redis_does_not_count(worker: Worker) -> None:
    for _ in range(3):
        worker.check(STALLED_CHECKS - 1)
        worker.watchdog.reset()
    assert worker.exits == []


def test_stopping_worker_is_not_stalled(worker: Worker) -> None:
    worker.watchdog.disarm()
    worker.check(STALLED_CHECKS * 2)
    assert worker.exits == []
