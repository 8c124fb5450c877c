from __future__ import annotations

import asyncio
import threading
from unittest.mock import Mock

import pytest

from workers.delivery.event_loop import STALLED_CHECKS, THREADS, EventLoop


def test_blocking_calls_run_beside_the_loop_and_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, together = EventLoop(), threading.Barrier(THREADS)

    async def all_calls() -> None:
        await asyncio.gather(*(asyncio.to_thread(together.wait, 30) for _ in range(THREADS)))

    loop.start()
    monkeypatch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
    asyncio.run_coroutine_threadsafe(all_calls(), loop.loop).result(30)
    loop.stop()


def test_refused_thread_at_the_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def refuse_the_third(thread: threading.Thread) -> None:
        started.append(thread)
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        EventLoop().start()
    for thread in started[:2]:
        thread.join(30)  # they do not wait for the third one
        assert not thread.is_alive()


def test_crash_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    crashed = threading.Event()
    loop = EventLoop(crashed.set)

    def crash() -> None:
        raise SystemExit(3)

    loop.start()
    loop.call_soon(crash)
    assert crashed.wait(30)
    assert "event loop crashed" in caplog.text
    loop.loop.close()


def test_error_of_a_callback_is_no_crash() -> None:
    crashed, done = Mock(), threading.Event()
    loop = EventLoop(crashed)
    loop.start()
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(done.set)
    assert done.wait(30)
    loop.stop()
    crashed.assert_not_called()


def test_loop_that_does_not_respond_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    crashed, blocked, goes_on, done = Mock(), threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        goes_on.wait(30)

    loop = EventLoop(crashed)
    loop.start()
    loop.call_soon(block)
    assert blocked.wait(30)
    for _ in range(STALLED_CHECKS):
        loop.check()
    crashed.assert_not_called()
    loop.check()
    crashed.assert_called_once_with()
    assert "event loop does not respond" in caplog.text
    goes_on.set()
    loop.call_soon(done.set)
    assert done.wait(30)
    for _ in range(3):
        loop.check()
    assert loop._failed_checks < 3
    loop.stop()
