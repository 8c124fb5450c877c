"""An attacker who can write to a queue can only delay its integration for a moment (SECURITY.md, Redis)."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from hypothesis import example, given
from hypothesis import strategies as st

from common.broker.celery_app import make_app
from common.broker.task_message import MAX_MESSAGE_BYTES, Task, decode, encode
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from workers.celery_worker.message_gate import LOG_INTERVAL_S, MessageGate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

QUEUE = b"courier.slack"
NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def published(client: redis.Redis, url: str, **options: Any) -> bytes:
    """Return the bytes that Celery itself writes for a task, with these options."""
    app = make_app(url)
    app.send_task("courier.deliver", args=("slack", ["a", "b"]), queue="courier.slack", **options)
    raw: Any = client.rpop(QUEUE.decode())
    return bytes(raw)


def changed(message: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return the message with one thing changed in its envelope."""
    envelope = json.loads(message)
    change(envelope)
    return json.dumps(envelope).encode()


def with_body(message: bytes, body: object) -> bytes:
    """Return the message with another body."""
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return changed(message, lambda envelope: envelope.update(body=encoded))


def attacks(good: bytes) -> list[bytes]:
    """Return messages that once stopped a worker, or made it do something else."""
    arguments = ["slack", ["a"]]
    bomb = base64.b64encode(gzip.compress(b"0" * 50_000_000)).decode()
    return [
        b"not json",
        b"5",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"body":' + b"[" * 100_000,
        b'"' + b"a" * (MAX_MESSAGE_BYTES + 1) + b'"',
        changed(good, lambda e: e["headers"].update(id=[1])),
        changed(good, lambda e: e["headers"].update(timelimit=5)),
        changed(good, lambda e: e["headers"].update(timelimit=[1, 1])),
        changed(good, lambda e: e["headers"].update(eta="2099-01-01T00:00:00+00:00")),
        changed(good, lambda e: e["headers"].update(expires="2000-01-01T00:00:00+00:00")),
        changed(good, lambda e: e["headers"].update(task="celery.chord_unlock")),
        changed(good, lambda e: e["headers"].update(task=["courier.deliver"])),
        changed(good, lambda e: e.update(headers=None)),
        changed(good, lambda e: e.update(headers=[])),
        changed(good, lambda e: e.update(properties=None)),
        changed(good, lambda e: e["properties"].update(body_encoding="utf-7")),
        changed(good, lambda e: e.update({"content-type": "application/x-python-serialize"})),
        changed(good, lambda e: e.update({"content-encoding": "idna"})),
        changed(good, lambda e: e.update(body="%%%")),
        changed(good, lambda e: (e.update(body=bomb), e["headers"].update(compression="application/x-gzip"))),
        with_body(good, [["slack", "a"], {}, NO_CALLBACKS]),
        with_body(good, [["slack", [1]], {}, NO_CALLBACKS]),
        with_body(good, [["slack", []], {}, NO_CALLBACKS]),
        with_body(good, [["pagerduty", ["a"]], {}, NO_CALLBACKS]),
        with_body(good, [arguments, {"ids": []}, NO_CALLBACKS]),
        with_body(good, [arguments, {}, NO_CALLBACKS | {"callbacks": [{"task": "celery.map"}]}]),
        with_body(good, [arguments, {}, NO_CALLBACKS | {"chain": [{"task": "celery.map"}]}]),
        with_body(good, {"args": arguments, "kwargs": {}, "task": "courier.deliver", "id": "x"}),
    ]


def test_messages_of_the_dispatcher_are_accepted_before_and_after_rewriting(
    client: redis.Redis, server: EmbeddedServer
) -> None:
    task = decode(published(client, server.url))
    assert task is not None
    assert (task.integration_id, task.delivery_ids) == ("slack", ["a", "b"])
    assert decode(encode(task)) == task


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"countdown": 60},
        {"expires": 60},
        {"link": Celery("x").signature("celery.backend_cleanup")},
        {"link_error": Celery("x").signature("celery.backend_cleanup")},
        {"time_limit": 5},
        {"retries": 3},
        {"group_id": "g"},
    ],
)
def test_callbacks_and_other_actions_of_celery_are_refused(
    client: redis.Redis, server: EmbeddedServer, options: dict[str, Any]
) -> None:
    assert decode(published(client, server.url, **options)) is None


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
@example(b"[" * 300_000)
def test_any_bytes_are_a_task_or_refused(raw: bytes) -> None:
    assert decode(raw) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data(), value=_JSON)
def test_only_delivery_ids_are_passed_on_whatever_a_message_contains(data: st.DataObject, value: Any) -> None:
    good = json.loads(encode(Task("t", "slack", ["a"])))
    good["headers"].update(eta=None, expires=None, timelimit=[None, None], retries=0, group=None)
    part = data.draw(st.sampled_from([good, good["headers"], good["properties"]]))
    part[data.draw(st.sampled_from([*part, "compression", "reply_to", "stamps"]))] = value
    handed_on = MessageGate("http@host", lambda _: None).task(QUEUE, json.dumps(good).encode())
    if handed_on is not None:
        task_id = json.loads(handed_on)["headers"]["id"]
        assert handed_on == encode(Task(task_id, "slack", ["a"]))


def test_dropped_messages_are_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    dropped: list[str] = []
    gate = MessageGate("http@host", dropped.append, now=lambda: now)
    for _ in range(100):
        gate.task(QUEUE, b"junk")
    now = LOG_INTERVAL_S
    gate.task(QUEUE, b"junk")
    assert dropped == ["slack"] * 101
    assert [record.dropped for record in caplog.records] == [1, 100]  # type: ignore[attr-defined]  # an extra


def test_a_worker_drops_every_attack_and_delivers_the_next_alert(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = EmbeddedServer(tmp_path / "redis")
        server.start()
        stack.callback(server.stop)
        client = stack.enter_context(server.client())
        messages = attacks(published(client, server.url))
        target = stack.enter_context(Recorder())
        manager = Manager(tmp_path, target)
        own = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(manager.state)}
        producer = stack.enter_context(Courier(tmp_path, "producer", *manager.files()[:4], "--node", "n", **own))
        worker = stack.enter_context(Courier(tmp_path, "worker", "--http", "--name", "http", **own))
        eventually(lambda: "new integration; reading starts" in producer.log)
        manager.append(1)
        eventually(lambda: len(target.bodies) == 1)

        for attack in messages:
            client.lpush(QUEUE.decode(), attack)
        eventually(lambda: client.llen(QUEUE.decode()) == 0)
        client.set(QUEUE.decode(), "no list")
        manager.append(1)
        eventually(lambda: len(target.bodies) == 2)
        assert worker.process.poll() is None
        assert "malformed queue message dropped" in worker.log
        assert "Traceback" not in worker.log
