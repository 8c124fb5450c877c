from __future__ import annotations

import threading
from concurrent.futures import wait
from functools import partial
from unittest.mock import Mock

import pytest

from workers.delivery.executor import BoundedExecutor, ThreadPool

WAIT_S = 10


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


def ran(threads: ThreadPool) -> threading.Thread:
    """Run a call and return the thread that ran it, which is about to become idle."""
    found: list[threading.Thread] = []
    done = threading.Event()

    def call() -> None:
        found.append(threading.current_thread())
        done.set()

    threads.run(call)
    assert done.wait(WAIT_S)
    return found[0]


def wait_until_idle(threads: ThreadPool, count: int) -> None:
    never = threading.Event()
    for _ in range(WAIT_S * 200):
        if len(threads._idle) == count:
            return
        never.wait(0.005)
    raise AssertionError(f"{len(threads._idle)} threads are idle, not {count}")


def test_no_call_waits_for_another_call() -> None:
    threads, gate = ThreadPool(), threading.Barrier(9)
    for _ in range(8):
        threads.run(lambda: gate.wait(WAIT_S))
    gate.wait(WAIT_S)  # it breaks unless all eight are under way
    wait_until_idle(threads, 8)


def test_last_idle_thread_is_used_first() -> None:
    threads, gate = ThreadPool(), threading.Barrier(5)
    for _ in range(4):
        threads.run(lambda: gate.wait(WAIT_S))
    gate.wait(WAIT_S)
    wait_until_idle(threads, 4)
    last = threads._idle[-1]
    for _ in range(3):
        assert ran(threads) is last
        wait_until_idle(threads, 4)


def test_idle_thread_ends_after_its_timeout() -> None:
    threads = ThreadPool(idle_s=0.01)
    thread = ran(threads)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert not threads._idle
    assert ran(threads) is not thread


def test_thread_assigned_at_its_timeout_runs_the_call() -> None:
    threads, done = ThreadPool(idle_s=0.05), threading.Event()
    thread = ran(threads)
    wait_until_idle(threads, 1)
    taken = threads._idle.pop()
    threading.Event().wait(0.2)  # its time is over, but it is not among the idle ones any more
    taken.assign(done.set)
    assert taken is thread
    assert done.wait(WAIT_S)


def test_next_free_thread_runs_the_call_if_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, gate, done = ThreadPool(), threading.Event(), threading.Event()
    threads.run(gate.wait)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads.run(done.set)
    assert not done.is_set()
    gate.set()
    assert done.wait(WAIT_S)


def test_refused_thread_is_retried_and_logged_once_per_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads = ThreadPool(idle_s=0.01)
    executor, refused = BoundedExecutor(threads, 1), Mock(side_effect=RuntimeError("can't start new thread"))
    for tries in (3, 6):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            thread = executor.submit(threading.current_thread)
            threads.retry_start()
            threads.retry_start()
        assert refused.call_count == tries
        threads.retry_start()
        thread.result(WAIT_S).join(WAIT_S)
    logged = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == 2
    assert "cannot start another thread (can't start new thread)" in logged[0]


def test_next_thread_starts_when_the_last_one_reaches_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, gate, done = ThreadPool(), threading.Event(), threading.Semaphore(0)
    started: list[threading.Thread] = []

    def note(thread: threading.Thread) -> None:
        started.append(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", note)
        threads.run(gate.wait)
        for _ in range(3):
            threads.run(done.release)
        assert len(started) == 1
    threading.Thread(target=started[0].run, daemon=True).start()
    assert all(done.acquire(timeout=WAIT_S) for _ in range(3))
    gate.set()


def test_free_thread_takes_a_call_that_waits_for_a_starting_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, gate, done = ThreadPool(), threading.Event(), threading.Event()
    threads.run(gate.wait)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: None)
        threads.run(lambda: None)
        threads.run(done.set)
        assert not done.is_set()
        gate.set()
        assert done.wait(WAIT_S)
