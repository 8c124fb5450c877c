from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from common.integration import Integration
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from tests.support.fakes import SIGNER, SLACK, policy
from workers.delivery.served import Selection, ServedIntegrations

if TYPE_CHECKING:
    import pytest
    import redis

BACKUP = Integration(id="backup", name="custom-backup")


def test_a_name_that_nothing_has_is_told_once_and_served_when_something_has_it(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    parts: Any = (None, None)
    routes = ServedIntegrations(
        registry,
        Selection(frozenset(), frozenset({"slak", "backup", "slack"})),
        policy=lambda _: policy(),
        build=lambda _integration, _policy: parts,
        random=Random(1),
        signer=SIGNER,
    )
    routes.refresh()
    registry.publish("n", [SLACK])
    routes.refresh()
    assert routes.ids() == {"slack"}
    registry.publish("n", [SLACK, BACKUP])
    routes.refresh()
    assert routes.ids() == {"slack", "backup"}
    told = [vars(record)["integration"] for record in caplog.records if "nothing is served for it" in record.message]
    assert told == ["backup", "slak"]
