from __future__ import annotations

import pytest

from workers.celery_worker.watchdog import EX_TEMPFAIL, STALLED_CHECKS, Watchdog


class Worker:
    """What a watchdog sees, and the statuses with which it ended the process."""

    def __init__(self) -> None:
        self.queued, self.begun, self.free = 1, 0, True
        self.ended: list[int] = []
        self.watchdog = Watchdog(
            queued=lambda: self.queued, begun=lambda: self.begun, free=lambda: self.free, end=self.ended.append
        )

    def look(self, times: int) -> None:
        for _ in range(times):
            self.watchdog.check()


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_a_worker_that_begins_nothing_while_there_is_work_is_ended(worker: Worker) -> None:
    worker.look(STALLED_CHECKS - 1)
    assert worker.ended == []
    worker.look(1)
    assert worker.ended == [EX_TEMPFAIL]


def test_one_task_begun_is_a_sign_of_life(worker: Worker) -> None:
    for _ in range(3):
        worker.look(STALLED_CHECKS - 1)
        worker.begun += 1
        worker.look(1)
    assert worker.ended == []


@pytest.mark.parametrize(("name", "value"), [("queued", 0), ("free", False)])
def test_without_work_or_a_free_slot_nothing_is_expected(worker: Worker, name: str, value: int) -> None:
    setattr(worker, name, value)
    worker.look(STALLED_CHECKS * 2)
    assert worker.ended == []


def test_an_absence_of_redis_does_not_count(worker: Worker) -> None:
    for _ in range(3):
        worker.look(STALLED_CHECKS - 1)
        worker.watchdog.reset()
    assert worker.ended == []


def test_a_worker_that_stops_is_left_in_peace(worker: Worker) -> None:
    worker.watchdog.disarm()
    worker.look(STALLED_CHECKS * 2)
    assert worker.ended == []
