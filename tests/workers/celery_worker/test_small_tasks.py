"""Small tasks of several integrations become one Celery task, and everything else stays in its queue."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from common.broker.celery_app import make_app
from common.broker.task_message import Task, decode, encode, queue_name
from ops.standalone.embedded_redis import EmbeddedServer
from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually
from workers.celery_worker.message_gate import MessageGate
from workers.celery_worker.small_tasks import MAX_BYTES, SmallTasks

if TYPE_CHECKING:
    from pathlib import Path

    import redis

INTEGRATIONS = ("slack", "jira", "teams")
SMALL = encode(Task("t", "slack", ["a"]))
BLOCK = "<integration><name>slack</name><hook_url>{url}/{n}</hook_url><alert_format>json</alert_format></integration>"


def queued(client: redis.Redis, integration_id: str, *ids: str) -> bytes:
    message = encode(Task(f"task of {ids[0]}", integration_id, list(ids)))
    client.lpush(queue_name(integration_id), message)
    return message


def small_tasks(client: redis.Redis) -> SmallTasks:
    return SmallTasks(client, lambda: ["courier", *map(queue_name, INTEGRATIONS)])


def test_the_next_message_of_each_other_queue_is_taken(client: redis.Redis) -> None:
    first, other = queued(client, "jira", "b"), queued(client, "teams", "c")
    later, own = queued(client, "jira", "d"), queued(client, "slack", "e")
    client.lpush("courier", "of Celery")
    assert small_tasks(client).take_beside(b"courier.slack", SMALL) == [
        (b"courier.jira", first),
        (b"courier.teams", other),
    ]
    assert client.lrange("courier.jira", 0, -1) == [later]
    assert client.lrange("courier.slack", 0, -1) == [own]
    assert client.llen("courier") == 1
    assert not client.exists("courier.teams")


def test_a_large_task_goes_by_itself_and_takes_nothing(client: redis.Redis) -> None:
    large = queued(client, "jira", *(f"{n:0200}" for n in range(100)))
    small = queued(client, "teams", "c")
    assert small_tasks(client).take_beside(b"courier.slack", SMALL) == [(b"courier.teams", small)]
    assert client.lrange("courier.jira", 0, -1) == [large]
    queued(client, "teams", "d")
    assert len(large) > MAX_BYTES
    assert small_tasks(client).take_beside(b"courier.slack", large) == ()
    assert client.llen("courier.teams") == 1


def test_what_goes_together_is_bounded(client: redis.Redis) -> None:
    names = [f"i{n}" for n in range(100)]
    for name in names:
        queued(client, name, "x" * 200)
    taken = SmallTasks(client, lambda: map(queue_name, names)).take_beside(b"courier.slack", SMALL)
    assert 5 < len(taken) < 50
    assert sum(len(message) for _, message in taken) + len(SMALL) <= MAX_BYTES
    assert sum(client.exists(queue_name(name)) for name in names) == 100 - len(taken)


def test_a_queue_of_the_wrong_type_is_left_alone(client: redis.Redis) -> None:
    client.set("courier.jira", "no list")
    message = queued(client, "teams", "c")
    assert small_tasks(client).take_beside(b"courier.slack", SMALL) == [(b"courier.teams", message)]


def test_a_refused_command_costs_nothing_but_a_lost_connection_is_an_error() -> None:
    client = Mock()
    client.register_script.return_value.side_effect = NoPermissionError("no permissions to run 'evalsha'")
    assert small_tasks(client).take_beside(b"courier.slack", SMALL) == ()
    client.register_script.return_value.side_effect = RedisConnectionError("gone")
    with pytest.raises(RedisConnectionError):  # so that kombu notices that the connection is lost
        small_tasks(client).take_beside(b"courier.slack", SMALL)


def test_a_worker_that_serves_one_integration_asks_for_nothing() -> None:
    client = Mock()
    alone = SmallTasks(client, lambda: ["courier", "courier.slack"])
    assert alone.take_beside(b"courier.slack", SMALL) == ()
    assert not client.register_script.return_value.called


def test_the_gate_joins_valid_messages_and_drops_the_others(caplog: pytest.LogCaptureFixture) -> None:
    dropped: list[str] = []
    others = [
        (b"courier.jira", encode(Task("t2", "jira", ["b"]))),
        (b"courier.teams", b"junk"),
        (b"courier.discord", encode(Task("t3", "jira", ["of another queue"]))),
    ]
    joined = MessageGate("http@host", dropped.append).task(b"courier.slack", SMALL, lambda: others)
    assert joined == encode(Task("t", "slack", ["a"]), {"jira": ["b"]})
    assert dropped == ["teams", "discord"]
    assert len(caplog.records) == 2


def test_a_message_in_a_queue_reaches_no_other_integration() -> None:
    assert decode(encode(Task("t", "slack", ["a"]), {"jira": ["b"]})) is None


def test_nothing_is_taken_beside_an_invalid_message() -> None:
    more = Mock()
    assert MessageGate("http@host", lambda _: None).task(b"courier.slack", b"junk", more) is None
    assert not more.called


def test_a_worker_runs_one_celery_task_for_alerts_of_many_integrations(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = EmbeddedServer(tmp_path / "redis")
        server.start()
        stack.callback(server.stop)
        client = stack.enter_context(server.client())
        target = stack.enter_context(Recorder())
        manager = Manager(tmp_path, target)
        blocks = "".join(BLOCK.format(url=target.url, n=n) for n in range(5))
        manager.config.write_text(f"<ossec_config>{blocks}</ossec_config>")
        own = {"COURIER_REDIS_URL": server.url, "COURIER_STATE_DIR": str(manager.state)}
        producer = stack.enter_context(Courier(tmp_path, "producer", *manager.files()[:4], "--node", "n", **own))
        eventually(lambda: producer.log.count("new integration; reading starts") == 5)
        manager.append(1)
        eventually(lambda: len(list(client.scan_iter("courier.*"))) == 5)
        stack.enter_context(Courier(tmp_path, "worker", "--http", "--name", "http", **own))
        eventually(lambda: len(target.bodies) == 5)
        eventually(lambda: not list(client.scan_iter("courier:*:records")))
        ((_, stats),) = eventually(lambda: _stats(server.url))
        assert stats["total"] == {"courier.deliver": 1}


def _stats(url: str) -> list[tuple[str, Any]]:
    """Return what Celery's workers say of themselves."""
    found: Any = make_app(url).control.inspect(timeout=1).stats()
    return list((found or {}).items())
