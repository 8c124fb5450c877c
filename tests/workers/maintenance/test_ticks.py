from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from cryptography.fernet import Fernet

from common.ledger import Ledger, Limits, Reaped
from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from common.settings.rate_limit import parse_rate_limit
from tests.support.fakes import SIGNER, SLACK, NoDispatch, policy
from tests.support.recorder import eventually
from workers.celery_worker.watchdog import Watchdog
from workers.delivery.served import Selection, ServedIntegrations
from workers.delivery.task import DeliveryTask
from workers.maintenance.loop import Maintenance
from workers.process_identity import this_process

if TYPE_CHECKING:
    from collections.abc import Collection

    import redis

    from workers.delivery.event_loop import EventLoop


class NothingLost(NoDispatch):
    def reap(self, wanted: Collection[str]) -> dict[str, Reaped]:
        return dict.fromkeys(wanted, Reaped(0, 0, 0))


@pytest.mark.parametrize(
    ("limits", "tick_s"),
    [
        ([], 1),
        (["4/min"], 1),
        (["1/s burst 3"], 1),
        (["5/s"], 1),
        (["10/s burst 1"], 0.1),
        (["5/s", "10/s burst 5"], 0.5),
        (["1000/s burst 1"], 0.05),
    ],
)
def test_tick_is_shorter_than_the_smallest_bucket(limits: list[str], tick_s: float) -> None:
    assert Limits(rate_limits=tuple(map(parse_rate_limit, limits))).tick_s == tick_s


def test_tick_releases_small_buckets_and_run_once_everything(client: redis.Redis, event_loop: EventLoop) -> None:
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    registry.publish("n", [SLACK])
    small = policy(rate_limits=(parse_rate_limit("10/s burst 1"),))
    services: Any = (None, None)
    integrations = ServedIntegrations(
        registry,
        Selection(),
        policy=lambda integration: small if integration == SLACK else policy(),
        build=lambda _integration, _policy: services,
        random=Random(1),
        signer=SIGNER,
    )
    integrations.refresh()
    dispatcher: Any = NothingLost()
    task = DeliveryTask(Ledger(client), dispatcher, integrations, event_loop, identity=this_process())
    watchdog = Watchdog(begun=lambda: 0, free=lambda: True)
    maintenance = Maintenance(
        integrations,
        dispatcher,
        task,
        lambda _ids: None,
        watchdog=watchdog,
        heartbeat=Mock(publish=Mock(return_value=0)),
        retention=Mock(),
        on_fatal=Mock(),
    )
    maintenance.tick()
    assert dispatcher.dispatched == ["slack"]
    maintenance.run_once()
    assert sorted(dispatcher.dispatched) == ["manager", "slack", "slack"]
    maintenance.start()
    eventually(lambda: dispatcher.dispatched.count("manager") == 2)
    maintenance.stop()
    assert dispatcher.dispatched.count("slack") >= 8
