"""`courier explain` beside a running system: what it says is what the real worker did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path

READY = "new integration; reading starts"
SETTINGS = """[integrations.slack]
except = ["agent.name = build-*"]
retry_delay = "1h"
retry_delay_max = "2h"
breaker_failures = 0
request_timeout = "200s"
"""
DELIVERED, DEAD, RETRIED, IN_FLIGHT, PAUSED = range(5)


class Explained:
    """The command beside the files of a manager."""

    def __init__(self, manager: Manager, settings: Path) -> None:
        self._manager = manager
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
        self._environment = ours | {"COURIER_SETTINGS": str(settings), "COURIER_PRODUCER_NODE": "wazuh-1"}

    def courier(self, *arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "ops.cli.main", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def slack(self, number: int) -> dict[str, Any]:
        """Return what is said about one alert and slack."""
        report = json.loads(self.courier("explain", f"1769846400.{number}", *self._manager.files(), "--json"))
        (found,) = report["integrations"]
        assert report["alert"]["id"] == f"1769846400.{number}"
        return dict(found)

    def state(self, number: int) -> str:
        return str(self.slack(number)["state"])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_explanation_is_what_the_worker_did(tmp_path: Path) -> None:
    settings, answer = tmp_path / "courier.toml", threading.Event()
    settings.write_text(SETTINGS)

    def status(body: bytes) -> int:
        if b"1769846400.%d" % IN_FLIGHT in body:
            answer.wait(120)
        if b"1769846400.%d" % DEAD in body:
            return 400
        return 503 if b"1769846400.%d" % RETRIED in body else 200

    with Recorder(status) as target:
        manager = Manager(tmp_path, target)
        explained = Explained(manager, settings)
        variables = {"COURIER_SETTINGS": str(settings), "COURIER_PRODUCER_NODE": "wazuh-1"}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **variables) as up:
            try:
                eventually(lambda: READY in up.log)
                manager.append(IN_FLIGHT + 1)
                eventually(lambda: explained.slack(DELIVERED)["outcome"] == "delivered")
                eventually(lambda: explained.state(DEAD) == "dead")
                eventually(lambda: explained.state(IN_FLIGHT) == "in_flight")
                eventually(lambda: explained.state(RETRIED) == "waiting")
                in_flight, retried, dead = map(explained.slack, (IN_FLIGHT, RETRIED, DEAD))
                assert in_flight["deliveries"][0]["worker"].startswith("http@")
                assert "its retry is due " in retried["text"]
                assert [one["reason"] for one in retried["deliveries"][0]["history"]] == ["http_5xx"]
                assert dead["deliveries"][0]["response"]["status"] == 400
                explained.courier("pause", "slack", "--reason", "a test", "--state", str(manager.state))
                manager.append(1)
                eventually(lambda: explained.state(PAUSED) == "waiting")
                assert ": a test" in explained.slack(PAUSED)["text"]
                assert "was not found" in explained.courier("explain", "1769846400.99", *manager.files(), status=1)
            finally:
                answer.set()
        assert explained.state(DEAD) == "filters_only"
        assert "Redis does not answer" in explained.courier("explain", f"1769846400.{DEAD}", *manager.files())
