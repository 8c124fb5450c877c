"""Several alerts in one request, with real processes: nothing is lost, and only a poisoned alert is rejected."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from tests.e2e.test_limits_and_breaker import READY
from tests.e2e.test_limits_and_breaker import courier as command
from tests.support.processes import Courier, Manager, alert
from tests.support.recorder import Recorder, eventually
from tests.workers.transports.syslog.test_transport import collector

if TYPE_CHECKING:
    from pathlib import Path

    from tests.workers.transports.syslog.test_transport import Collector

ALERTS = 300
POISON = b'"id": "1769846400.7"'
HEC = """
[integrations.splunk]
service = "splunk-hec"
hook_url = "{url}"
api_key = "t0ken-t0ken"
[integrations.splunk.splunk-hec]
index = "wazuh"
"""
SYSLOG = """
[integrations.siem]
service = "syslog"
[integrations.siem.syslog]
address = "{address}"
tls = false
"""


def ids(events: list[bytes]) -> list[str]:
    return [json.loads(line)["event"]["id"] for body in events for line in body.splitlines()]


def totals(manager: Manager) -> dict[str, int]:
    found: dict[str, int] = json.loads(command(manager, "status", "--json"))["integrations"]["splunk"]["totals"]
    return found


@pytest.mark.slow
def test_a_poisoned_alert_of_a_batch_is_the_only_dead_letter(tmp_path: Path) -> None:
    with Recorder(lambda body: 400 if POISON in body else 200) as target:
        manager = Manager(tmp_path, target)
        manager.config.write_text("<ossec_config></ossec_config>")
        toml = tmp_path / "courier.toml"
        toml.write_text(HEC.format(url=target.url))
        settings = {"COURIER_SETTINGS": str(toml)}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **settings) as up:
            eventually(lambda: READY in up.log)
            manager.append(ALERTS)
            expected = manager.ids - {"1769846400.7"}
            eventually(lambda: set(ids(target.bodies)) == expected)
            eventually(lambda: totals(manager).get("delivered") == ALERTS - 1 and totals(manager).get("dead") == 1)
            assert "1769846400.7" in command(manager, "dead", "list", "--integration", "splunk")
            assert sorted(ids(target.bodies)) == sorted(expected)  # nothing twice
            assert len(target.bodies) < ALERTS / 2
            assert "t0ken-t0ken" not in up.log
            shown = command(manager, "history", "splunk", "--json", "--since", "1h")
            assert len(shown.splitlines()) == ALERTS
            assert shown.count('"http_4xx"') == 1


def messages(target: Collector) -> list[str]:
    """Return the ids in all frames that have arrived whole."""
    found = []
    for received in list(target.received):
        rest = received
        while frame := re.match(rb"([0-9]+) ", rest):
            start, length = frame.end(), int(frame[1])
            if len(rest) < start + length:
                break
            found.append(json.loads(b"{" + rest[start : start + length].partition(b"- {")[2])["id"])
            rest = rest[start + length :]
    return found


@pytest.mark.slow
def test_a_collector_that_restarts_gets_every_alert(tmp_path: Path) -> None:
    with Recorder() as unused, collector() as target:
        manager = Manager(tmp_path, unused)
        manager.config.write_text("<ossec_config></ossec_config>")
        toml = tmp_path / "courier.toml"
        toml.write_text(SYSLOG.format(address=target.address))
        settings = {"COURIER_SETTINGS": str(toml)}
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0", **settings) as up:
            eventually(lambda: READY in up.log)
            for _ in range(5):
                manager.append(20)
                eventually(lambda: set(messages(target)) == manager.ids)
                target.drop()
            assert len(target.connections) == 5
            tested = command(manager, "test", "siem")
            assert "response: accepted, there is no response after " in tested
            assert f"TCP {target.address}" in tested
            assert len(messages(target)) == 101


def test_render_shows_a_syslog_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COURIER_")]:
        monkeypatch.delenv(name)
    (tmp_path / "ossec.conf").write_text("<ossec_config></ossec_config>")
    (tmp_path / "courier.toml").write_text(SYSLOG.format(address="siem.example.org:601"))
    arguments = ["--integration", "siem", "--alert", "-", "--config", "ossec.conf"]
    shown = CliRunner().invoke(courier, ["render", *arguments], input=alert(1))
    assert shown.exit_code == 0, shown.output
    assert "TCP siem.example.org:601" in shown.stdout
    assert "<132>1 2026-01-31T08:00:00.000Z web01 wazuh - 5712 - {" in shown.stdout
    (tmp_path / "courier.toml").write_text('[integrations.siem]\nservice = "syslog"\n')
    checked = CliRunner().invoke(courier, ["check", "--config", "ossec.conf"])
    assert checked.exit_code == 78
    assert "integrations.siem.syslog.address: is missing: write the collector" in checked.stdout
