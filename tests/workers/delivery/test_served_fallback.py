from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from common.integration import MANAGER_ID, Integration
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from tests.support.fakes import SIGNER, SLACK, policy
from workers.delivery.served import Selection, ServedIntegrations

if TYPE_CHECKING:
    import redis

BACKUP = Integration(id="backup", name="custom-backup")
NO_FALLBACK = "fallback not found in any ossec.conf"


class World:
    """Served integrations that all have the same fallback."""

    def __init__(self, client: redis.Redis, fallback: str) -> None:
        self.registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
        parts: Any = (None, None)
        self.integrations = ServedIntegrations(
            self.registry,
            Selection(),
            policy=lambda _: policy(fallback=fallback),
            build=lambda _integration, _policy: parts,
            random=Random(1),
            signer=SIGNER,
        )

    def publish(self, *integrations: Integration) -> None:
        self.registry.publish("n", integrations)
        self.integrations.refresh()

    def fallback_of(self, integration_id: str) -> str:
        served = self.integrations.get(integration_id)
        assert served is not None
        return served.notifications.fallback


def test_fallback_is_used_while_an_ossec_conf_has_it(client: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    world = World(client, "backup")
    world.publish(SLACK, BACKUP)
    assert world.fallback_of("slack") == "backup"
    assert world.fallback_of("backup") == world.fallback_of(MANAGER_ID) == ""
    assert NO_FALLBACK not in caplog.text
    world.publish(SLACK)
    assert world.fallback_of("slack") == ""
    assert NO_FALLBACK in caplog.text
    world.publish(SLACK, BACKUP)
    assert world.fallback_of("slack") == "backup"


@pytest.mark.parametrize("unknown", ["nobody", MANAGER_ID])
def test_missing_fallback_is_logged_once(client: redis.Redis, caplog: pytest.LogCaptureFixture, unknown: str) -> None:
    world = World(client, unknown)
    world.publish(SLACK)
    world.publish(SLACK, BACKUP)
    assert world.fallback_of("slack") == ""
    logged = [r for r in caplog.records if NO_FALLBACK in r.message]
    assert sorted((vars(r)["integration"], vars(r)["fallback"]) for r in logged) == [
        ("backup", unknown),
        ("slack", unknown),
    ]
