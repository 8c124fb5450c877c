"""The migration steps with real processes: from the stock Integrator, and the way back."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, eventually
from tests.support.stock_daemon import stock_daemon

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026/Jan/ossec-alerts-31.json"


def up(manager: Manager, **environment: str) -> Courier:
    return Courier(manager.folder, "up", *manager.files(), "--flower-port", "0", **environment)


def test_courier_starts_where_the_stock_integrator_stopped(tmp_path: Path) -> None:
    """The Integrator lagged behind, and midnight came: no alert is repeated, none is lost."""
    with Recorder() as target:
        manager = Manager(tmp_path, target)
        day = tmp_path / DAY
        day.parent.mkdir(parents=True)
        manager.alerts.rename(day)
        os.link(day, manager.alerts)
        manager.append(30)
        sent = sum(len(alert(n)) for n in range(12))
        with stock_daemon(manager.alerts, sent, home=tmp_path):
            command = [sys.executable, "-m", "ops.cli.main", "check", "--stock", "--alerts", str(manager.alerts)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        name, _, position = done.stdout.strip().partition("=")
        manager.alerts.unlink()  # midnight
        new = tmp_path / "2026/Feb/ossec-alerts-01.json"
        new.parent.mkdir()
        new.touch()
        os.link(new, manager.alerts)
        manager.append(5)
        with up(manager, **{name: position}):
            wanted = {f"1769846400.{n}" for n in range(12, 35)}
            eventually(lambda: wanted <= set(target.ids), limit_s=90)
            assert sorted(target.ids) == sorted(wanted)


def test_queued_alerts_are_delivered_after_their_block_is_removed(tmp_path: Path) -> None:
    """The way back: Courier reads no new alerts and still delivers the queued ones."""
    refuse, refused = [True], list[bytes]()

    def answer(body: bytes) -> int:
        if refuse[0]:
            refused.append(body)
            return 503
        return 200

    with Recorder(answer) as target:
        manager = Manager(tmp_path, target)
        settings = {
            "COURIER_INTEGRATIONS_DEFAULT_START_AT": "beginning",
            "COURIER_INTEGRATIONS_DEFAULT_RETRY_DELAY": "100ms",
            "COURIER_INTEGRATIONS_DEFAULT_RETRY_DELAY_MAX": "1s",
            "COURIER_INTEGRATIONS_DEFAULT_BREAKER_PAUSE": "100ms",
            "COURIER_INTEGRATIONS_DEFAULT_BREAKER_PAUSE_MAX": "500ms",
        }
        manager.append(6)
        with up(manager, **settings) as courier:
            first = {f"1769846400.{n}" for n in range(6)}
            eventually(lambda: len(set(refused)) == len(first), limit_s=90)
            manager.config.write_text("<ossec_config><global><a>1</a></global></ossec_config>")
            eventually(lambda: "no integration is configured" in courier.log)
            manager.append(3)
            refuse[0] = False
            eventually(lambda: len(target.bodies) == len(first), limit_s=90)
        assert set(target.ids) == first
