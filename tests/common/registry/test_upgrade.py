"""Upgrade from the registry of versions that published no policy, with the bytes that such a version wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from common.integration import Integration
from common.registry.encryption import Cipher
from common.registry.entries import CATALOGUE, KEY, VERSION, CatalogueEntry, catalogue, decode_entry
from common.registry.published import PublishedRegistry
from common.secret import Secret
from common.settings.published_policy import merge_policy, publish_policy
from tests.support.fakes import policy

if TYPE_CHECKING:
    import redis

HELD: Any = json.loads(Path(__file__).with_name("registry_without_policies.json").read_text())
CIPHER = Cipher(HELD["key"].encode())
SLACK = Integration(
    id="slack",
    name="slack",
    hook_url=Secret("https://hooks.example/services/T0/B0/x"),
    level=7,
    rule_ids=(5710,),
    group="sshd",
    alert_format="json",
    file="/var/ossec/etc/ossec.conf",
    line=12,
)
POLICY = publish_policy(policy(lease_s=7.0))


class OldEntry(msgspec.Struct):
    """What a version without policies reads of an entry."""

    integration: dict[str, Any]
    nodes: tuple[str, ...] = ()
    version: int = 0


@pytest.fixture
def registry(client: redis.Redis) -> PublishedRegistry:
    client.hset(KEY, mapping=HELD[KEY])
    client.hset(CATALOGUE, mapping=HELD[CATALOGUE])
    return PublishedRegistry(client, CIPHER)


def test_a_worker_delivers_with_its_own_settings_until_a_producer_publishes_a_policy(
    registry: PublishedRegistry,
) -> None:
    entry = registry.load().entries["slack"]
    assert (entry.integration, entry.nodes, entry.policy, entry.others) == (SLACK, ("wazuh-1", "wazuh-2"), {}, {})
    own = policy(lease_s=99.0)
    assert merge_policy(own, entry.policy) == own

    published = registry.publish("wazuh-1", [SLACK], {"slack": POLICY, "manager": POLICY})
    assert merge_policy(own, published.entries["slack"].policy).lease_s == 7
    assert merge_policy(own, published.entries["manager"].policy).lease_s == 7
    assert published.version > int(HELD[KEY]["version"])


def test_nothing_else_of_the_entry_changes_and_no_node_is_said_to_differ(
    registry: PublishedRegistry, client: redis.Redis
) -> None:
    entry = registry.publish("wazuh-1", [SLACK], {"slack": POLICY}).entries["slack"]
    assert (entry.integration, entry.nodes) == (SLACK, ("wazuh-1", "wazuh-2"))
    assert registry.load().entries["custom-ticket"].removed
    assert catalogue(client)["slack"] == CatalogueEntry("slack", ("wazuh-1", "wazuh-2"))
    held: Any = client.hget(CATALOGUE, "slack")
    assert held.decode() == HELD[CATALOGUE]["slack"]


def test_an_older_worker_reads_the_entries_of_this_version(registry: PublishedRegistry, client: redis.Redis) -> None:
    registry.publish("wazuh-1", [SLACK], {"slack": POLICY, "manager": POLICY})
    fields: Any = client.hgetall(KEY)
    for name, value in fields.items():
        if name != VERSION:
            assert msgspec.json.decode(CIPHER.decrypt(value), type=OldEntry).integration["id"].encode() == name


def test_a_producer_publishes_again_what_an_older_one_wrote_without_its_policy(
    registry: PublishedRegistry, client: redis.Redis
) -> None:
    policies = {"slack": POLICY}
    registry.publish("wazuh-1", [SLACK], policies)
    assert not registry.repair("wazuh-1", [SLACK], lambda: policies)
    entry = decode_entry(CIPHER.decrypt(client.hget(KEY, "slack")))  # type: ignore[arg-type]  # redis-py: or awaitable
    bare = msgspec.structs.replace(entry, policy={}, others={}, version=entry.version + 1)
    raw = msgspec.json.encode(bare, enc_hook=lambda one: one.reveal())
    client.hset(KEY, mapping={"slack": CIPHER.encrypt(raw), "version": entry.version + 1})
    assert registry.repair("wazuh-1", [SLACK], lambda: policies)
    assert registry.load().entries["slack"].policy == POLICY


def test_two_nodes_with_different_descriptions_of_one_id(registry: PublishedRegistry, client: redis.Redis) -> None:
    other = msgspec.structs.replace(SLACK, level=9)
    registry.publish("wazuh-1", [SLACK], {"slack": POLICY})
    registry.publish("wazuh-2", [other], {"slack": publish_policy(policy(lease_s=8.0))})
    entry = registry.load().entries["slack"]
    assert (entry.integration.level, entry.shared.of("wazuh-1").integration.level) == (9, 7)
    assert catalogue(client)["slack"].differing == {"wazuh-1": ["lease", "level"]}
    assert not registry.repair("wazuh-1", [SLACK], lambda: {"slack": POLICY})  # neither fights for it
    registry.publish("wazuh-2", [])
    assert registry.load().entries["slack"].integration.level == 7
    assert catalogue(client)["slack"] == CatalogueEntry("slack", ("wazuh-1",))


def test_a_producer_computes_its_policies_only_if_redis_holds_anything_new(
    registry: PublishedRegistry, client: redis.Redis
) -> None:
    computed = []

    def policies() -> dict[str, Any]:
        computed.append(1)
        return {"slack": POLICY}

    registry.publish("wazuh-1", [SLACK], {"slack": POLICY})
    assert not any(registry.repair("wazuh-1", [SLACK], policies) for _ in range(3))
    assert len(computed) == 1
    client.hdel(KEY, "slack")
    assert registry.repair("wazuh-1", [SLACK], policies)
    assert len(computed) == 2
