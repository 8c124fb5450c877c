from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from common.errors import TransportError
from common.outcome import Reason
from workers.transports.threads import RETRY_S, InThreads

if TYPE_CHECKING:
    from collections.abc import Callable


class Calls:
    def __init__(self, send: Callable[[Any], Any]) -> None:
        self.send = send


def test_every_call_has_a_thread_and_none_waits_for_another() -> None:
    together = threading.Barrier(50)
    transport = InThreads(Calls(lambda call: (together.wait(30), call)[1]))

    async def all_calls() -> list[Any]:
        return await asyncio.gather(*(transport.send(number) for number in range(50)))

    assert asyncio.run(all_calls()) == list(range(50))


def test_error_of_a_call_is_raised() -> None:
    def fail(_call: object) -> None:
        raise TransportError(Reason.SCRIPT_TIMEOUT, "stopped")

    with pytest.raises(TransportError, match="stopped"):
        asyncio.run(InThreads(Calls(fail)).send("call"))


def test_refused_thread_is_retried_and_logged_once_per_refusal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, pauses = threading.Thread.start, list[float]()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) % 3 == 0:
            monkeypatch.setattr(threading.Thread, "start", start)

    transport = InThreads(Calls(lambda call: call), sleep)
    for _ in range(2):
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert asyncio.run(transport.send("call")) == "call"
    assert pauses == [RETRY_S] * 6
    logged = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == 2
    assert "cannot start another thread (can't start new thread)" in logged[0]
