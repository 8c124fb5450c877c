"""Deliveries continue after connections between workers and Redis were cut, stalled or dropped.

Only workers that exit are restarted, as by a supervisor.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

import pytest

from tests.chaos.test_worker_chaos import check, summary
from tests.support.crashes import pause
from tests.support.fleet import Fleet
from tests.support.proxy import Proxy
from workers.celery_worker.watchdog import EX_TEMPFAIL, STALLED_CHECKS

if TYPE_CHECKING:
    from pathlib import Path

BUSY = 400
FRESH_S = 5.0
"""The longest time that a new alert may take after a fault."""

Kind = Literal["cut", "held", "forgotten"]
SHORT: tuple[tuple[Kind, float], ...] = (("cut", 10), ("held", 10), ("forgotten", 0.1))
LONG_S = 120

STALLED_WORKER = """
from kombu.transport.redis import Channel
from ops.cli.main import main
from workers.celery_worker.consumer import FixedDelayConsumer

reconnect = FixedDelayConsumer.on_connection_error_after_connected

def reconnect_without_reading(self, error):
    Channel._brpop_start = lambda *_, **__: None
    reconnect(self, error)

FixedDelayConsumer.on_connection_error_after_connected = reconnect_without_reading
main()
"""
"""It takes tasks until its first reconnect, as in celery#8030, #8091 and #10302."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


class Network:
    """A fleet with a proxy in front of its server. `recovered_s` is the recovery time after each fault."""

    def __init__(self, stack: ExitStack, folder: Path, *, producer_too: bool) -> None:
        self._stack = stack
        self.fleet = Fleet(stack, folder, latency_ms=50, way_to=self._through, producer_too=producer_too)
        self.recovered_s: dict[str, float] = {}

    def _through(self, port: int) -> int:
        self.proxy = self._stack.enter_context(Proxy(port))
        return self.proxy.port

    def trouble(self, kind: Kind, seconds: float) -> None:
        """Interrupt the network during deliveries, then check that a new alert arrives in time, and all others."""
        fleet, before = self.fleet, self.fleet.target.distinct()
        fleet.manager.append(BUSY)
        fleet.wait_for(lambda: fleet.target.distinct() > before + BUSY // 4, limit_s=60)
        (self.proxy.refuse if kind == "cut" else self.proxy.hold)()
        fleet.at_risk += fleet.held()
        fleet.manager.append(BUSY // 4)
        pause(seconds)
        self.proxy.go_on(forgetting=kind == "forgotten")
        name = f"{kind}_{seconds:g}_s"
        self.recovered_s[name] = round(fleet.fresh_alert_s(limit_s=120), 1)
        drained_s = fleet.wait_for(lambda: not fleet.records(), limit_s=120)
        self.recovered_s[f"{name}_all"] = round(self.recovered_s[name] + drained_s, 1)
        assert self.recovered_s[name] <= FRESH_S, self.recovered_s


def run_faults(tmp_path: Path, troubles: tuple[tuple[Kind, float], ...], *, producer_too: bool) -> None:
    """Cause the faults one after the other, and check that no alert is lost or repeated unnecessarily."""
    with ExitStack() as stack:
        network = Network(stack, tmp_path, producer_too=producer_too)
        for kind, seconds in troubles:
            network.trouble(kind, seconds)
        figures = summary(network.fleet, part="cut connections") | {"recovered": network.recovered_s}
        print(f"\n{json.dumps(figures)}")
        check(network.fleet, figures)


@pytest.mark.parametrize("producer_too", [False, True], ids=["workers", "all"])
def test_a_new_alert_arrives_within_seconds_after_any_network_fault(tmp_path: Path, producer_too: bool) -> None:
    run_faults(tmp_path, SHORT, producer_too=producer_too)


@pytest.mark.parametrize("kind", ["cut", "held", "forgotten"])
def test_a_new_alert_arrives_within_seconds_after_a_network_fault_of_two_minutes(tmp_path: Path, kind: Kind) -> None:
    run_faults(tmp_path, ((kind, LONG_S),), producer_too=True)


def test_a_worker_that_takes_no_tasks_after_a_reconnect_exits_and_another_delivers(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fleet = Fleet(stack, tmp_path, latency_ms=1, workers=0)
        proxy = stack.enter_context(Proxy(fleet.server.port))
        stalled = subprocess.Popen(
            [sys.executable, "-c", STALLED_WORKER, "worker", "--http"],
            env=fleet.environment(proxy.port),
            stderr=subprocess.DEVNULL,
        )
        stack.callback(stalled.wait)
        stack.callback(stalled.kill)
        fleet.manager.append(10)
        fleet.wait_for(lambda: fleet.target.distinct() == 10, limit_s=30)
        proxy.refuse()
        proxy.go_on()
        fleet.manager.append(10)
        assert stalled.wait(STALLED_CHECKS + 60) == EX_TEMPFAIL
        assert fleet.target.distinct() == 10
        fleet.add_worker()
        fleet.wait_for(lambda: fleet.target.distinct() == fleet.manager.written, limit_s=30)
