"""Celery's remote control responds to Flower's requests and executes no command (SECURITY.md, Redis)."""

from __future__ import annotations

import base64
import json
import os
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.broker.celery_app import make_app
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier
from tests.support.recorder import eventually
from workers.celery_worker.message_gate import MessageGate
from workers.celery_worker.remote_control import ALLOWED, decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis
    from celery import Celery

CHANNEL = "/0.celery.pidbox"
PASSWORD = "a-password-of-redis"


@contextmanager
def worker_of(tmp_path: Path) -> Iterator[tuple[Courier, Celery, redis.Redis]]:
    """Run a worker. Yield a Celery application and a Redis client of the same server for the attacker."""
    with ExitStack() as stack:
        server = EmbeddedServer(tmp_path / "redis", password=PASSWORD)
        server.start()
        stack.callback(server.stop)
        own = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(tmp_path / "state")}
        worker = stack.enter_context(Courier(tmp_path, "worker", "--http", "--name", "http", **own))
        app = make_app(server.url)
        eventually(lambda: app.control.ping(timeout=0.5))
        yield worker, app, stack.enter_context(server.client())


def hostile(body: object) -> bytes:
    """Return a remote-control message with this body."""
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 10**30},
            "properties": {"delivery_info": {}, "body_encoding": "base64", "delivery_tag": "1"},
        }
    ).encode()


def test_remote_control_cannot_change_stop_or_stall_a_worker(tmp_path: Path) -> None:
    with worker_of(tmp_path) as (worker, app, client):
        for method, arguments in {
            "shutdown": {},
            "rate_limit": {"task_name": "courier.deliver", "rate_limit": "1/h"},
            "time_limit": {"task_name": "courier.deliver", "hard": 0.1},
            "add_consumer": {"queue": "x"},
            "cancel_consumer": {"queue": "courier"},
            "pool_shrink": {"n": 99},
            "pool_restart": {},
            "disable_events": {},
            "revoke": {"task_id": "x", "terminate": True},
            "memdump": {},
            "nonsense": {"a": 1},
        }.items():
            app.control.broadcast(method, arguments=arguments)
        reply_to = {"exchange": "reply.celery.pidbox", "routing_key": "x" * 10_000}
        for message in (
            b"not json",
            b"5",
            b"[]",
            b"[" * 50_000,
            b'{"body": 1}',
            b"x" * 1_000_000,
            hostile([1]),
            hostile({"method": ["ping"]}),
            hostile({"method": "ping", "pattern": "(a+)+$", "matcher": "pcre"}),
            hostile({"method": "ping", "reply_to": reply_to}),
            hostile({"method": "ping", "reply_to": 5}),
            hostile({"method": "conf", "arguments": {"no": "such argument"}}),
        ):
            client.publish(CHANNEL, message)
        answers = app.control.inspect(timeout=2).active_queues()
        assert [queue["name"] for queues in answers.values() for queue in queues] == ["courier"]
        assert worker.process.poll() is None
        assert worker.log.count("remote-control message ignored") == 1
        assert "Traceback" not in worker.log


@pytest.mark.slow
def test_responses_to_flower_contain_no_secret(tmp_path: Path) -> None:
    with worker_of(tmp_path) as (worker, app, _):
        for method in sorted(ALLOWED - {"ping"}):
            answer: Any = getattr(app.control.inspect(timeout=2), method)()
            assert answer, method
            assert PASSWORD not in repr(answer), method
        assert "ignored" not in worker.log


def test_a_requested_stop_exits_with_status_0(tmp_path: Path) -> None:
    with worker_of(tmp_path) as (worker, *_):
        assert worker.stop(signal.SIGTERM) == os.EX_OK


def test_a_command_for_another_worker_is_ignored() -> None:
    dropped: list[str] = []
    gate = MessageGate("http@here", dropped.append)
    assert gate.control(hostile({"method": "ping", "destination": ["http@there"]})) == b""
    assert gate.control(hostile({"method": "ping", "destination": ["http@here"]}))
    assert dropped == []


@pytest.mark.parametrize("method", ["shutdown", "rate_limit", "dump_conf"])
def test_only_the_commands_of_flower_are_accepted(method: str) -> None:
    assert MessageGate("http@here", lambda _: None).control(hostile({"method": method})) == b""


def test_other_messages_of_flower_are_ignored_without_a_warning() -> None:
    dropped: list[str] = []
    gate = MessageGate("http@here", dropped.append)
    assert [gate.control(hostile({"method": m})) for m in ("heartbeat", "enable_events", "revoked")] == [b""] * 3
    assert dropped == []


@given(st.binary())
def test_any_bytes_are_a_command_or_refused(raw: bytes) -> None:
    assert decode(raw) is None
