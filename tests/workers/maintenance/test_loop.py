from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from common.errors import LedgerUnavailable, SettingsError
from common.ledger import Reaped
from workers.delivery.served import ServedIntegrations
from workers.maintenance.loop import FULL_SCAN_EVERY, Maintenance


def test_the_queues_are_told_in_every_round_since_a_reconnect_can_swallow_a_change() -> None:
    routes: Any = Mock(ServedIntegrations)
    routes.refresh.return_value = False
    routes.ids.return_value = {"slack"}
    routes.get.return_value = None
    told: list[set[str]] = []
    housekeeping = Maintenance(
        routes, Mock(), Mock(), told.append, watchdog=Mock(), heartbeat=Mock(), retention=Mock(), on_fatal=Mock()
    )
    housekeeping.run_once()
    housekeeping.run_once()
    assert told == [{"slack"}, {"slack"}]


def test_refused_threads_are_tried_again_in_every_round_though_redis_is_away() -> None:
    routes: Any = Mock(ServedIntegrations)
    routes.refresh.side_effect = LedgerUnavailable("away")
    look, others = Mock(), Mock()
    housekeeping = Maintenance(
        routes,
        others,
        others,
        others,
        watchdog=others,
        heartbeat=others,
        retention=others,
        on_fatal=others,
        retry_hooks=[look],
    )
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            housekeeping.run_once()
    assert look.call_count == 2


def test_a_registry_with_another_key_ends_the_worker_and_what_is_being_sent_keeps_its_lease() -> None:
    routes: Any = Mock(ServedIntegrations)
    error = SettingsError("another key")
    routes.refresh.side_effect = error
    routes.ids.return_value = {"slack"}
    dispatcher, deliverer, others, give_up = Mock(), Mock(), Mock(), Mock()
    dispatcher.non_empty.return_value = {"slack"}
    dispatcher.reap.return_value = {}
    housekeeping = Maintenance(
        routes, dispatcher, deliverer, others, watchdog=others, heartbeat=others, retention=others, on_fatal=give_up
    )
    for _ in range(3):
        housekeeping.run_once()
    give_up.assert_called_once_with(error)
    assert deliverer.renew.call_count == 3


def test_what_has_nothing_in_the_ledger_is_left_out_of_most_rounds_but_not_of_all() -> None:
    routes: Any = Mock(ServedIntegrations)
    routes.refresh.return_value = False
    routes.ids.return_value = {"idle", "slack"}
    dispatcher = Mock()
    dispatcher.non_empty.return_value = {"slack"}
    dispatcher.reap.side_effect = lambda wanted: dict.fromkeys(wanted, Reaped(0, 0, 0))
    housekeeping = Maintenance(
        routes,
        dispatcher,
        Mock(),
        lambda _ids: None,
        watchdog=Mock(),
        heartbeat=Mock(),
        retention=Mock(),
        on_fatal=Mock(),
    )

    def looked_after() -> list[str]:
        dispatcher.dispatch_all.reset_mock()
        housekeeping.run_once()
        (call,) = dispatcher.dispatch_all.call_args_list
        return sorted(one.integration_id for one in call.args[0])

    assert looked_after() == ["idle", "slack"]
    assert [looked_after() for _ in range(FULL_SCAN_EVERY - 1)] == [["slack"]] * (FULL_SCAN_EVERY - 1)
    assert looked_after() == ["idle", "slack"]
    housekeeping.run_once()
    routes.refresh.return_value = True
    assert looked_after() == ["idle", "slack"]


def test_what_came_back_is_released_in_the_same_round_and_what_is_held_is_renewed_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    routes: Any = Mock(ServedIntegrations)
    routes.refresh.return_value = False
    routes.ids.return_value = {"slack", "shuffle"}
    both = Mock()
    both.dispatcher.reap.return_value = {"slack": Reaped(3, 0, 1), "shuffle": Reaped(0, 5, 0)}
    housekeeping = Maintenance(
        routes,
        both.dispatcher,
        both.deliverer,
        lambda _ids: None,
        watchdog=Mock(),
        heartbeat=Mock(),
        retention=Mock(),
        on_fatal=Mock(),
    )
    housekeeping.run_once()
    names = [name for name, *_ in both.mock_calls]
    assert names[-2:] == ["dispatcher.reap", "dispatcher.dispatch_all"]
    assert names.count("deliverer.renew") == 2
    told = [record for record in caplog.records if "lost with their worker" in record.message]
    assert [vars(record)["integration"] for record in told] == ["slack"]
    assert (vars(told[0])["lost"], vars(told[0])["dead"]) == (3, 1)
