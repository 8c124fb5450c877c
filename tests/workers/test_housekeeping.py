from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from common.ledger import Reaped
from workers.housekeeping import LOOK_EVERY, Housekeeping
from workers.routes import Routes


def test_the_queues_are_told_in_every_round_since_a_reconnect_can_swallow_a_change() -> None:
    routes: Any = Mock(Routes)
    routes.refresh.return_value = False
    routes.ids.return_value = {"slack"}
    routes.get.return_value = None
    told: list[set[str]] = []
    housekeeping = Housekeeping(
        routes, Mock(), Mock(), told.append, watchdog=Mock(), heartbeat=Mock(), retention=Mock()
    )
    housekeeping.round()
    housekeeping.round()
    assert told == [{"slack"}, {"slack"}]


def test_what_has_nothing_in_the_ledger_is_left_out_of_most_rounds_but_not_of_all() -> None:
    routes: Any = Mock(Routes)
    routes.refresh.return_value = False
    routes.ids.return_value = {"idle", "slack"}
    dispatcher = Mock()
    dispatcher.occupied.return_value = {"slack"}
    dispatcher.reap.return_value = Reaped(0, 0, 0)
    housekeeping = Housekeeping(
        routes, dispatcher, Mock(), lambda _ids: None, watchdog=Mock(), heartbeat=Mock(), retention=Mock()
    )

    def looked_after() -> list[str]:
        dispatcher.dispatch.reset_mock()
        housekeeping.round()
        return sorted(call.args[0] for call in dispatcher.dispatch.call_args_list)

    assert looked_after() == ["idle", "slack"]
    assert [looked_after() for _ in range(LOOK_EVERY - 1)] == [["slack"]] * (LOOK_EVERY - 1)
    assert looked_after() == ["idle", "slack"]
    housekeeping.round()
    routes.refresh.return_value = True
    assert looked_after() == ["idle", "slack"]
