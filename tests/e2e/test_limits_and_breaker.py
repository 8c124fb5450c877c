"""Rate limits, pause and breaker with real processes: `courier up`, and the commands of an operator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

READY = "new integration; reading starts"


def courier(manager: Manager, *arguments: str) -> str:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
    command = [sys.executable, "-m", "ops.cli.main", *arguments, "--state", str(manager.state)]
    return subprocess.run(command, env=ours, check=True, capture_output=True, text=True).stdout


def slack(manager: Manager) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(courier(manager, "status", "--json"))["integrations"]["slack"]
    return status


@pytest.mark.slow
def test_rate_limit_is_kept_and_a_paused_integration_sends_nothing(tmp_path: Path) -> None:
    arrived_s: list[float] = []

    def status(_body: bytes) -> int:
        arrived_s.append(time.monotonic())
        return 200

    with Recorder(status) as target:
        manager = Manager(tmp_path, target)
        limit = {"COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS": "5/s"}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **limit) as up:
            eventually(lambda: READY in up.log)
            manager.append(26)
            eventually(lambda: len(target.bodies) == 26)
            assert arrived_s[-1] - arrived_s[0] > (26 - 5) / 5 - 1
            assert "slack paused" in courier(manager, "pause", "slack", "--reason", "test")
            manager.append(5)
            eventually(lambda: slack(manager)["waiting"] == 5)
            assert slack(manager)["paused"]["reason"] == "test"
            assert len(target.bodies) == 26
            assert "slack resumed; 5 deliveries waiting" in courier(manager, "resume", "slack")
            eventually(lambda: len(target.bodies) == 31)
            assert slack(manager)["totals"].get("retried", 0) == 0
    assert set(target.ids) == manager.ids


@pytest.mark.slow
def test_breaker_opens_for_a_failing_target_and_closes_after_recovery(tmp_path: Path) -> None:
    (tmp_path / "courier.toml").write_text(
        '[integrations.default]\nbreaker_failures = 5\nbreaker_pause = "200ms"\n'
        'retry_delay = "100ms"\nretry_delay_max = "1s"\n'
    )
    refused, down = list[bytes](), True

    def status(body: bytes) -> int:
        if down:
            refused.append(body)
        return 503 if down else 200

    with Recorder(status) as target:
        manager = Manager(tmp_path, target)
        settings = {"COURIER_SETTINGS": str(tmp_path / "courier.toml")}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **settings) as up:
            eventually(lambda: READY in up.log)
            manager.append(1000)
            eventually(lambda: slack(manager)["totals"].get("breaker_opened", 0) >= 3)
            assert len(refused) < 520, "no more than was in flight, and the probes"
            down = False
            eventually(lambda: set(target.ids) == manager.ids)
            assert slack(manager)["totals"]["breaker_closed"] >= 1
            assert up.log.count("circuit breaker opened") >= 3
