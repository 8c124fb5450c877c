from __future__ import annotations

import threading
from concurrent.futures import wait
from functools import partial

import pytest

from workers.delivery.executor import BoundedExecutor
from workers.delivery.thread_pool import ThreadPool


def test_executor_runs_at_most_max_concurrent_calls_in_order() -> None:
    executor, gate, begun = BoundedExecutor(ThreadPool(), 2), threading.Semaphore(0), []
    started = threading.Semaphore(0)

    def call(number: int) -> int:
        begun.append(number)
        started.release()
        gate.acquire()
        return number

    futures = [executor.submit(partial(call, number)) for number in range(5)]
    assert all(started.acquire(timeout=10) for _ in range(2))
    assert sorted(begun) == [0, 1]
    assert futures[2].cancel()
    assert not futures[0].cancel()
    gate.release(5)
    kept = [future for future in futures if not future.cancelled()]
    wait(kept, timeout=10)
    assert [future.result(timeout=0) for future in kept] == [0, 1, 3, 4]
    assert 2 not in begun


def test_hanging_integration_does_not_block_another() -> None:
    threads, gate = ThreadPool(), threading.Event()
    hanging, other = BoundedExecutor(threads, 64), BoundedExecutor(threads, 1)
    hung = [hanging.submit(gate.wait) for _ in range(100)]
    assert other.submit(lambda: 7).result(timeout=10) == 7
    gate.set()
    assert all(future.result(timeout=10) for future in hung)


def test_exception_of_a_call_is_raised_by_its_future_only() -> None:
    executor = BoundedExecutor(ThreadPool(), 1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(timeout=10)
    assert executor.submit(lambda: 7).result(timeout=10) == 7
