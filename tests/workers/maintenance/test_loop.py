from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from common.broker.dispatcher import ReleaseTarget
from common.errors import LedgerUnavailable, SettingsError
from common.ledger import Reaped
from tests.support.fakes import policy
from workers.delivery.served import ServedIntegrations
from workers.maintenance.loop import FULL_SCAN_EVERY, Maintenance


def serving(*ids: str) -> Any:
    integrations = Mock(ServedIntegrations)
    integrations.refresh.return_value = False
    integrations.ids.return_value = set(ids)
    integrations.all.return_value = [
        Mock(integration=Mock(id=one), release_target=ReleaseTarget.of(one, policy(), "t")) for one in ids
    ]
    return integrations


def test_queues_are_set_in_every_run() -> None:
    integrations = serving("slack")
    integrations.all.return_value = []
    consumed: list[set[str]] = []
    maintenance = Maintenance(
        integrations,
        Mock(),
        Mock(),
        consumed.append,
        watchdog=Mock(),
        heartbeat=Mock(),
        retention=Mock(),
        on_fatal=Mock(),
    )
    maintenance.run_once()
    maintenance.run_once()
    assert consumed == [{"slack"}, {"slack"}]


def test_retry_hooks_run_although_redis_is_unavailable() -> None:
    integrations = serving()
    integrations.refresh.side_effect = LedgerUnavailable("unavailable")
    hook, others = Mock(), Mock()
    maintenance = Maintenance(
        integrations,
        others,
        others,
        others,
        watchdog=others,
        heartbeat=others,
        retention=others,
        on_fatal=others,
        retry_hooks=[hook],
    )
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            maintenance.run_once()
    assert hook.call_count == 2


def test_changed_secret_key_stops_the_worker_but_leases_are_renewed() -> None:
    integrations, error = serving("slack"), SettingsError("another key")
    integrations.refresh.side_effect = error
    dispatcher, task, others, on_fatal = Mock(), Mock(), Mock(), Mock()
    dispatcher.non_empty.return_value = {"slack"}
    dispatcher.reap.return_value = {}
    maintenance = Maintenance(
        integrations, dispatcher, task, others, watchdog=others, heartbeat=others, retention=others, on_fatal=on_fatal
    )
    for _ in range(3):
        maintenance.run_once()
    on_fatal.assert_called_once_with(error)
    assert task.renew.call_count == 3


def test_empty_integrations_are_skipped_in_most_runs() -> None:
    integrations = serving("idle", "slack")
    dispatcher = Mock()
    dispatcher.non_empty.return_value = {"slack"}
    dispatcher.reap.side_effect = lambda wanted: dict.fromkeys(wanted, Reaped(0, 0, 0))
    maintenance = Maintenance(
        integrations,
        dispatcher,
        Mock(),
        lambda _ids: None,
        watchdog=Mock(),
        heartbeat=Mock(),
        retention=Mock(),
        on_fatal=Mock(),
    )

    def released() -> list[str]:
        dispatcher.dispatch_all.reset_mock()
        maintenance.run_once()
        (call,) = dispatcher.dispatch_all.call_args_list
        return sorted(one.integration_id for one in call.args[0])

    assert released() == ["idle", "slack"]
    assert [released() for _ in range(FULL_SCAN_EVERY - 1)] == [["slack"]] * (FULL_SCAN_EVERY - 1)
    assert released() == ["idle", "slack"]
    maintenance.run_once()
    integrations.refresh.return_value = True
    assert released() == ["idle", "slack"]


def test_run_renews_first_and_releases_what_it_reaped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    integrations = serving("slack", "shuffle")
    both = Mock()
    both.dispatcher.reap.return_value = {"slack": Reaped(3, 0, 1), "shuffle": Reaped(0, 5, 0)}
    maintenance = Maintenance(
        integrations,
        both.dispatcher,
        both.task,
        lambda _ids: None,
        watchdog=Mock(),
        heartbeat=Mock(),
        retention=Mock(),
        on_fatal=Mock(),
    )
    maintenance.run_once()
    names = [name for name, *_ in both.mock_calls]
    assert names[-2:] == ["dispatcher.reap", "dispatcher.dispatch_all"]
    assert names.count("task.renew") == 2
    logged = [record for record in caplog.records if "leases expired" in record.message]
    assert [vars(record)["integration"] for record in logged] == ["slack"]
    assert (vars(logged[0])["lost"], vars(logged[0])["dead"]) == (3, 1)
