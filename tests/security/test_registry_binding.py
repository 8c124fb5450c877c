"""An attacker who can write the registry in Redis can neither divert alerts nor stop the workers."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import SettingsError
from common.integration import Integration
from common.registry.encryption import Cipher
from common.registry.entries import CATALOGUE, KEY, VERSION, catalogue, published_ids
from common.registry.published import KEY_MISMATCH_GRACE_NS, PublishedRegistry
from common.reports.producer import fetch_producer_reports
from common.secret import Secret
from tests.support.fakes import SIGNER, VAULT, policy
from tests.support.world import NODE, SHUFFLE_BLOCK, SLACK_BLOCK, World
from workers.delivery.served import Selection, ServedIntegrations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

HOOK = "https://hooks.example/{}"
SLACK = Integration(id="slack", name="slack", hook_url=Secret(HOOK.format("now")))
FORMER = Integration(id="slack", name="slack", hook_url=Secret(HOOK.format("former")))
SHUFFLE = Integration(id="shuffle", name="shuffle", hook_url=Secret(HOOK.format("shuffle")))


def field(client: redis.Redis, name: str) -> bytes:
    held: Any = client.hget(KEY, name)
    return bytes(held)


def entry_of_version_01(integration: Integration, *nodes: str) -> bytes:
    """Return an entry as version 0.1 encrypted it."""
    secret = {"hook_url": integration.hook_url.reveal()} if integration.hook_url else {}
    return VAULT.encrypt(
        msgspec.json.encode({"integration": {"id": integration.id, "name": integration.name} | secret, "nodes": nodes})
    )


class Worker:
    """The integrations that a running worker serves."""

    def __init__(self, client: redis.Redis, now: Callable[[], int] = time.time_ns) -> None:
        parts: Any = (None, None)
        self.routes = ServedIntegrations(
            PublishedRegistry(client, VAULT, now),
            Selection(),
            policy=lambda _: policy(),
            build=lambda _integration, _policy: parts,
            random=Random(1),
            signer=SIGNER,
        )
        self.routes.refresh()

    def hook(self, name: str = "slack") -> str:
        self.routes.refresh()
        route = self.routes.get(name)
        return route.integration.hook_url.reveal() if route and route.integration.hook_url else ""


@pytest.fixture
def producer(client: redis.Redis) -> PublishedRegistry:
    """A registry in which `slack` had a different hook before."""
    registry = PublishedRegistry(client, VAULT)
    registry.publish(NODE, [FORMER, SHUFFLE])
    return registry


ATTACKS: dict[str, Callable[[redis.Redis, bytes], object]] = {
    "the former entry": lambda client, former: client.hset(KEY, "slack", former),
    "an entry of version 0.1": lambda client, _: client.hset(KEY, "slack", entry_of_version_01(FORMER, NODE)),
    "another integration's": lambda client, _: client.hset(KEY, "slack", field(client, "shuffle")),
    "garbage": lambda client, _: client.hset(KEY, "slack", b"\xff"),
    "nothing": lambda client, _: client.hset(KEY, "slack", b""),
    "another key's": lambda client, _: client.hset(KEY, "slack", Cipher(Fernet.generate_key()).encrypt(b"{}")),
    "sealed, but none": lambda client, _: client.hset(KEY, "slack", VAULT.encrypt(b'{"integration": 5}')),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
@pytest.mark.parametrize("version", ["9" * 17, "x", ""])
def test_a_forged_entry_diverts_no_worker_and_the_producer_repairs_it(
    client: redis.Redis,
    producer: PublishedRegistry,
    caplog: pytest.LogCaptureFixture,
    attack: Callable[[redis.Redis, bytes], object],
    version: str,
) -> None:
    former = field(client, "slack")
    producer.publish(NODE, [SLACK, SHUFFLE])
    worker = Worker(client)
    assert not producer.repair(NODE, [SLACK, SHUFFLE])
    attack(client, former)
    client.hset(KEY, VERSION, version)
    assert (worker.hook(), worker.hook("shuffle")) == (HOOK.format("now"), HOOK.format("shuffle"))
    assert caplog.text.count("registry entry in Redis rejected") == 1
    assert producer.repair(NODE, [SLACK, SHUFFLE])
    assert not producer.repair(NODE, [SLACK, SHUFFLE])
    assert (worker.hook(), worker.hook("shuffle")) == (HOOK.format("now"), HOOK.format("shuffle"))
    assert Worker(client).hook() == HOOK.format("now")


def test_a_hidden_update_is_published_again(client: redis.Redis, producer: PublishedRegistry) -> None:
    worker = Worker(client)
    before: Any = client.hgetall(KEY)
    producer.publish(NODE, [SLACK, SHUFFLE])
    client.hset(KEY, mapping=before)
    assert worker.hook() == HOOK.format("former")
    assert producer.repair(NODE, [SLACK, SHUFFLE])
    assert worker.hook() == HOOK.format("now")
    version: Any = client.hget(KEY, VERSION)
    client.hset(KEY, VERSION, "1")
    assert producer.repair(NODE, [SLACK, SHUFFLE])
    assert client.hget(KEY, VERSION) == version


def test_only_garbage_in_foreign_fields_is_removed(client: redis.Redis, producer: PublishedRegistry) -> None:
    PublishedRegistry(client, VAULT).publish("wazuh-2", [SLACK])
    client.hset(KEY, mapping={"x": b"x", b"\xff": b"", "manager": "x", "slack-2": field(client, "slack")})
    client.hset(CATALOGUE, b"\xff", "{")
    assert set(published_ids(client)) >= {"manager", "shuffle", "slack"}
    assert "slack" in catalogue(client)
    assert producer.repair(NODE, [FORMER, SHUFFLE])
    assert published_ids(client) == ["manager", "shuffle", "slack"]
    entries = producer.load().entries
    assert entries["slack"].nodes == (NODE, "wazuh-2")


def test_two_nodes_that_describe_one_id_differently_do_not_repair_each_other(
    client: redis.Redis, producer: PublishedRegistry
) -> None:
    other = PublishedRegistry(client, VAULT)
    other.publish("wazuh-2", [SLACK])
    assert not producer.repair(NODE, [FORMER, SHUFFLE])
    assert not other.repair("wazuh-2", [SLACK])
    assert producer.load().get("slack") == SLACK


def test_a_worker_exits_only_if_it_can_decrypt_no_entry(client: redis.Redis, producer: PublishedRegistry) -> None:
    times = [0]
    worker = Worker(client, lambda: times[-1])
    client.hset(KEY, mapping={"slack": "x", VERSION: 5})
    assert worker.hook() == HOOK.format("former")
    assert Worker(client).hook("shuffle") == HOOK.format("shuffle")
    client.hset(KEY, mapping={"shuffle": "x", VERSION: 6})
    for starts in (lambda: Worker(client), lambda: PublishedRegistry(client, VAULT).publish(NODE, [SLACK])):
        with pytest.raises(SettingsError, match="another secret key"):
            starts()
    times += [1, KEY_MISMATCH_GRACE_NS]
    assert worker.hook() == HOOK.format("former")
    assert producer.repair(NODE, [SLACK, SHUFFLE])
    assert worker.hook() == HOOK.format("now")
    client.hset(KEY, mapping={"slack": "x", "shuffle": "x", VERSION: 7})
    assert worker.hook() == HOOK.format("now")
    times += [2 * KEY_MISMATCH_GRACE_NS]
    with pytest.raises(SettingsError, match="another secret key"):
        worker.hook()


def test_entries_of_version_01_are_read_and_encrypted_again(client: redis.Redis) -> None:
    client.hset(
        KEY, mapping={"slack": entry_of_version_01(FORMER, NODE), "shuffle": entry_of_version_01(SHUFFLE), VERSION: 5}
    )
    worker = Worker(client)
    assert worker.hook() == HOOK.format("former")
    producer = PublishedRegistry(client, VAULT)
    assert producer.publish(NODE, [FORMER]).entries["shuffle"].removed
    assert worker.hook() == HOOK.format("former")
    assert all(entry.version for id_, entry in producer.load().entries.items() if id_ != "manager")
    client.hset(KEY, mapping={"slack": entry_of_version_01(SLACK, NODE), VERSION: 7})
    assert worker.hook() == HOOK.format("former")


def test_a_running_producer_repairs_the_registry_and_logs_it(
    client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(client, tmp_path, SLACK_BLOCK.format(""), SHUFFLE_BLOCK)
    producer = world.producer()
    world.settle(producer)
    client.hset(KEY, "slack", "x")
    client.hdel(KEY, "shuffle")
    for _ in range(7):
        world.clock.now_s += 1
        producer.run_once()
    entries = PublishedRegistry(client, Cipher(world.key)).load()
    assert (set(entries.entries), entries.rejected) == ({"slack", "shuffle", "manager"}, {})
    assert caplog.text.count("modified by another writer; published again") == 1
    (node,) = fetch_producer_reports(client)
    assert node.report.foreign_writes.endswith("within the last hour: registry")
    assert client.hget(f"courier:node:{NODE}", "n:foreign:registry") == b"1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.dictionaries(st.binary(min_size=1, max_size=70), st.binary(max_size=100), max_size=5), st.binary(max_size=30))
def test_any_bytes_in_the_registry_raise_only_declared_errors(
    client: redis.Redis, fields: dict[bytes, bytes], version: bytes
) -> None:
    client.delete(KEY, CATALOGUE)
    producer = PublishedRegistry(client, VAULT)
    producer.publish(NODE, [SLACK])
    taken: Any = {name: value for name, value in fields.items() if name not in {b"slack", VERSION}}
    client.hset(KEY, mapping=taken | {VERSION: version})
    published_ids(client)
    catalogue(client)
    worker = PublishedRegistry(client, VAULT)
    worker.version()
    assert worker.load().get("slack") == SLACK
    producer.repair(NODE, [SLACK])
    assert producer.load().rejected == {}
    assert client.hlen(KEY) == 2
