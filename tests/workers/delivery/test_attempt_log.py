"""One log line for each attempt, with ids, outcome and duration."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from common.ledger import Attempt, Delivery, Header, Settlement, SettleOutcome
from common.logs import DeliveryLog, LogFormat, LogLevel, configure_logging
from tests.workers.delivery.test_task import World
from workers.calls import Response
from workers.delivery.attempt_log import MAX_ALERT_ID_CHARS, AttemptLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from workers.delivery.event_loop import EventLoop

ALERT = b'{"id": "1769846400.1", "rule": {}}'


@pytest.fixture(autouse=True)
def loop(event_loop: EventLoop) -> None:
    World.loop = event_loop


@pytest.fixture
def log() -> Iterator[StringIO]:
    root, written = logging.getLogger(), StringIO()
    before = root.handlers[:], root.level
    configure_logging(LogLevel.INFO, LogFormat.JSON, written)
    yield written
    root.handlers[:], root.level = before


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line.get("event") == "delivery"]


DELIVERED = Settlement(id="d", outcome=SettleOutcome.DELIVERED, status=200)
FAILED = Settlement(
    id="d",
    outcome=SettleOutcome.RETRY,
    reason="http_5xx",
    delay_ms=1000,
    status=503,
    header=Header(committed_ms=1, attempts=3, history=(Attempt(1, "http_5xx", "HTTP 503"),)),
)


def test_a_failed_attempt_is_always_logged(log: StringIO) -> None:
    AttemptLog().record("slack", Delivery("d", Header(committed_ms=1, attempts=2), ALERT), FAILED, 0.1234)
    (line,) = lines(log)
    del line["time"]
    assert line == {
        "event": "delivery",
        "integration": "slack",
        "delivery": "d",
        "alert": "1769846400.1",
        "outcome": "retry",
        "reason": "http_5xx",
        "status": 503,
        "duration_ms": 123,
        "attempts": 3,
        "delay_ms": 1000,
        "level": "warning",
        "logger": "courier.delivery",
        "message": "retry: http_5xx: HTTP 503",
    }


def test_a_delivered_one_is_logged_if_all_are(log: StringIO) -> None:
    delivery = Delivery("d", Header(committed_ms=1, attempts=2), ALERT)
    AttemptLog().record("slack", delivery, DELIVERED, 0.1)
    assert not lines(log)
    AttemptLog(DeliveryLog.ALL).record("slack", delivery, DELIVERED, 0.1)
    (line,) = lines(log)
    assert (line["level"], line["outcome"], line["status"], line["attempts"]) == ("info", "delivered", 200, 3)


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        (b'{"id": "a\\nb\\u202e"}', "a\nb\u202e"),
        (b'{"id": "' + b"x" * 1000 + b'"}', "x" * MAX_ALERT_ID_CHARS),
        (b'{"id": 5}', ""),
        (b"not JSON", ""),
        (b"[" * 100_000, ""),
        (b'{"rule": {}}', ""),
    ],
)
def test_the_alerts_id_is_bounded_and_escaped(log: StringIO, alert: bytes, shown: str) -> None:
    AttemptLog().record("slack", Delivery("d", Header(committed_ms=1), alert), FAILED, 0.1)
    (line,) = lines(log)
    assert line["alert"] == shown
    assert log.getvalue().isascii()
    assert log.getvalue().count("\n") == 1


def test_the_worker_logs_each_attempt_with_the_status(client: redis.Redis, log: StringIO) -> None:
    world = World(client, lambda call: Response(status=500 if b'"b"' in (call.body or b"") else 200))
    world.task.deliver({"slack": world.released("a", "b")})
    (line,) = lines(log)
    assert (line["alert"], line["status"], line["attempts"]) == ("b", 500, 1)
