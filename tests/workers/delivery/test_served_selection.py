from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet
from msgspec.structs import replace

from common.integration import Integration
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from tests.support.fakes import SIGNER, SLACK, policy
from workers.delivery.served import Selection, ServedIntegrations

if TYPE_CHECKING:
    import pytest
    import redis

BACKUP = Integration(id="backup", name="custom-backup")


def test_missing_selected_name_is_logged_once_and_served_later(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    parts: Any = (None, None)
    integrations = ServedIntegrations(
        registry,
        Selection(frozenset(), frozenset({"slak", "backup", "slack"})),
        policy=lambda _: policy(),
        build=lambda _integration, _policy: parts,
        random=Random(1),
        signer=SIGNER,
    )
    integrations.refresh()
    registry.publish("n", [SLACK])
    integrations.refresh()
    assert integrations.ids() == {"slack"}
    registry.publish("n", [SLACK, BACKUP])
    integrations.refresh()
    assert integrations.ids() == {"slack", "backup"}
    logged = [
        vars(record)["integration"] for record in caplog.records if "selected integration not found" in record.message
    ]
    assert logged == ["backup", "slak"]


def test_integration_whose_service_only_a_newer_version_has_waits_for_a_newer_worker(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    parts: Any = (None, None)
    integrations = ServedIntegrations(
        registry,
        Selection(),
        policy=lambda _: policy(),
        build=lambda _integration, _policy: parts,
        random=Random(1),
        signer=SIGNER,
    )
    newer = [Integration(id="soc", name="hologram"), replace(BACKUP, service_override="hologram")]
    registry.publish("n", [SLACK, *newer])
    integrations.refresh()
    registry.publish("n", [SLACK, *newer, replace(BACKUP, id="other")])
    integrations.refresh()
    assert integrations.ids() == {"slack", "other", "manager"}
    logged = [vars(record)["integration"] for record in caplog.records if "does not have its service" in record.message]
    assert sorted(logged) == ["backup", "soc"]
