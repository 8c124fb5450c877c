"""A worker that dies after the target's response and before the settlement."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support.crashes import pause
from tests.support.fleet import PAUSED_MS, Fleet

if TYPE_CHECKING:
    from pathlib import Path

LATENCY_MS = 300


def test_only_an_unsettled_delivery_is_repeated_after_a_worker_crash(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, latency_ms=LATENCY_MS, workers=1)
        fleet.manager.append(1)
        fleet.wait_for(lambda: fleet.target.distinct() == 1, limit_s=30)
        with fleet.server.client() as client:
            client.client_pause(PAUSED_MS, all=False)  # the answer is on its way, the settlement cannot be written
            pause(3 * LATENCY_MS / 1000)
            fleet.kill_worker(0)
            client.client_unpause()
        fleet.manager.append(20)
        fleet.wait_for(lambda: fleet.target.distinct() == 21 and not fleet.records(), limit_s=30)
        assert sorted(fleet.target.numbers().values()) == [1] * 20 + [2]
        assert fleet.target.numbers()[0] == 2
