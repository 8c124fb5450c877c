from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from workers.housekeeping import Housekeeping
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
