from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from common.errors import SettingsError
from common.integration import Integration
from common.registry.encryption import Cipher, load_cipher
from common.registry.entries import ALL_NODES, CATALOGUE, KEY, CatalogueEntry, catalogue
from common.registry.published import PublishedRegistry
from common.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import redis

SLACK = Integration(id="slack", name="slack", hook_url=Secret("https://hooks.example/T0/secret"), rule_ids=(1, 2))
NODE = "wazuh-1"
TICKET = Integration(id="custom-ticket", name="custom-ticket", options=Secret('{"a": 1}'))


@pytest.fixture
def registry(client: redis.Redis) -> PublishedRegistry:
    return PublishedRegistry(client, Cipher(Fernet.generate_key()))


def test_published_integrations_can_be_loaded(registry: PublishedRegistry) -> None:
    assert registry.load().version == 0
    published = registry.publish(NODE, [SLACK, TICKET])
    assert published.version == registry.version() > 0
    assert registry.load().get("slack") == SLACK
    assert set(published.entries) == {"slack", "custom-ticket", "manager"}


def test_version_grows_only_with_a_change(registry: PublishedRegistry) -> None:
    before = registry.publish(NODE, [SLACK, TICKET])
    assert registry.publish(NODE, [TICKET, SLACK]).version == before.version
    after = registry.publish(NODE, [TICKET])
    assert after.version > before.version
    assert after.entries["slack"].removed
    assert registry.publish(NODE, [TICKET]).version == after.version
    assert not registry.publish(NODE, [SLACK, TICKET]).entries["slack"].removed


def test_versions_are_unique_even_if_redis_loses_data(client: redis.Redis) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    versions = [registry.publish(NODE, [SLACK]).version]
    held: Any = client.hgetall(KEY)
    versions.append(registry.publish(NODE, [SLACK, TICKET]).version)
    client.hset(KEY, mapping=held)  # Redis loses the last second
    versions.append(registry.publish(NODE, [TICKET]).version)
    client.delete(KEY)  # Redis loses everything
    versions.append(registry.publish(NODE, [SLACK]).version)
    assert versions == sorted(set(versions))


def test_version_grows_even_if_the_clock_is_set_back(client: redis.Redis) -> None:
    times = iter([2_000_000, 1_000_000])
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()), lambda: next(times))
    assert registry.publish(NODE, [SLACK]).version == 2_000
    assert registry.publish(NODE, [TICKET]).version == 2_001


def test_integration_is_removed_when_no_node_has_it(registry: PublishedRegistry) -> None:
    registry.publish(NODE, [SLACK])
    both = registry.publish("wazuh-2", [SLACK, TICKET])
    assert both.entries["slack"].nodes == (NODE, "wazuh-2")
    assert not registry.publish(NODE, []).entries["slack"].removed
    assert registry.publish("wazuh-2", [TICKET]).entries["slack"].removed


def test_catalogue_is_readable_without_the_key(registry: PublishedRegistry, client: redis.Redis) -> None:
    registry.publish(NODE, [SLACK, TICKET])
    registry.publish(NODE, [TICKET])
    assert catalogue(client) == {
        "custom-ticket": CatalogueEntry("custom-ticket", (NODE,)),
        "manager": CatalogueEntry("manager", ALL_NODES),
        "slack": CatalogueEntry("slack"),
    }
    assert [one.removed for one in catalogue(client).values()] == [False, False, True]


def test_damaged_catalogue_is_repaired_without_a_new_version(registry: PublishedRegistry, client: redis.Redis) -> None:
    """An earlier version of Courier or another client may leave it so."""
    version = registry.publish(NODE, [SLACK]).version
    damages: list[Callable[[], object]] = [
        lambda: client.delete(CATALOGUE),
        lambda: client.hset(CATALOGUE, "slack", "{"),
    ]
    for damage in damages:
        damage()
        assert catalogue(client)["slack"] == CatalogueEntry("slack", ALL_NODES)
        assert registry.publish(NODE, [SLACK]).version == version
        assert catalogue(client)["slack"] == CatalogueEntry("slack", (NODE,))


def test_redis_holds_no_secret_unencrypted(registry: PublishedRegistry, client: redis.Redis) -> None:
    registry.publish(NODE, [SLACK])
    fields: list[Any] = [*client.hgetall(KEY).values(), *client.hgetall(CATALOGUE).values()]
    held = b"".join(fields)
    assert b"secret" not in held
    assert b"hooks.example" not in held


def test_integrations_with_the_same_credential_share_a_target(registry: PublishedRegistry) -> None:
    def target(name: str, id_: str = "x", hook: str = "", key: str = "") -> str:
        hook_url, api_key = Secret(hook) if hook else None, Secret(key) if key else None
        return registry.target(Integration(id=id_, name=name, hook_url=hook_url, api_key=api_key))

    same = target("slack", "slack", hook="https://hooks.example/1")
    assert target("slack", "slack-2", hook="https://hooks.example/1") == same
    assert target("slack", "slack-2", hook="HTTPS://Hooks.Example/1") == same
    assert target("slack", "slack-3", hook="https://hooks.example/2") != same
    assert target("custom-slack", hook="https://hooks.example/1") != same
    assert target("pagerduty", "a", hook="https://a", key="k") == target("pagerduty", "b", hook="https://b", key="k")
    assert target("custom-x", "custom-x") != target("custom-x", "custom-x-2")
    assert target("custom-x", "a", key="b") != target("custom-x", "b")


def test_target_digest_depends_on_the_secret_key(client: redis.Redis) -> None:
    key = Fernet.generate_key()
    targets = {PublishedRegistry(client, Cipher(one)).target(SLACK) for one in (key, key, Fernet.generate_key())}
    assert len(targets) == 2
    assert all(len(one) == 32 for one in targets)


def test_wrong_secret_key_is_an_error_with_remedy(registry: PublishedRegistry, client: redis.Redis) -> None:
    registry.publish(NODE, [SLACK])
    with pytest.raises(SettingsError, match=r"another secret key.*copy secret\.key"):
        PublishedRegistry(client, Cipher(Fernet.generate_key())).load()


def test_key_file_is_private(tmp_path: Path) -> None:
    encrypted = load_cipher(None, tmp_path / "state").encrypt(b"x")
    assert load_cipher(None, tmp_path / "state").decrypt(encrypted) == b"x"
    assert (tmp_path / "state" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["secret.key"]


def test_given_key_wins_and_invalid_key_is_rejected(tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    assert load_cipher(Secret(key), tmp_path).decrypt(Cipher(key.encode()).encrypt(b"y")) == b"y"
    with pytest.raises(SettingsError, match="32 bytes"):
        load_cipher(Secret("short"), tmp_path)


def test_unwritable_state_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="state directory"):
        load_cipher(None, tmp_path / "file" / "state")
