"""Tests of what the demo reports about a user's files before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.integration import Integration
from ops.demo.preview import Preview, preview, replacements
from ops.demo.setup import set_stage

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = """<ossec_config>
<integration><name>custom-a</name></integration>
<integration><name>custom-b</name></integration>
<integration><name>Slack</name></integration>
</ossec_config>"""


def test_findings_come_first_and_unusable_scripts_are_kept(tmp_path: Path) -> None:
    config, alerts = tmp_path / "ossec.conf", tmp_path / "alerts.json"
    config.write_text(BLOCKS)
    alerts.write_text("")
    folder = tmp_path / "integrations"
    folder.mkdir()
    (folder / "custom-a").write_bytes(b"#!/bin/sh\n")
    (folder / "custom-a").chmod(0o550)
    environment = {"COURIER_WORKER_WAZUH_HOME": str(tmp_path)}
    found = preview(config, alerts, environment)
    assert found.unusable == {"custom-b"}
    assert any("integrations/custom-b does not exist" in line for line in found.lines)
    assert any('"Slack" is not supported' in line for line in found.lines)
    assert found.lines[-1].startswith("check: FAILED: 1 of 3 integrations can run")
    home = tmp_path / "demo"
    home.mkdir()
    stage = set_stage(home, config, places={"http": "http://127.0.0.1:1"}, flower_port=1, unusable=found.unusable)
    assert [file.name for file in (home / "integrations").iterdir()] == ["custom-a"]
    assert list(replacements(stage.integrations, found)) == [
        "custom-a: the demo's script runs in place of custom-a",
        "custom-b: your script cannot be run, so its deliveries fail",
    ]


def test_missing_script_is_replaced_by_the_demos(tmp_path: Path) -> None:
    config = tmp_path / "ossec.conf"
    config.write_text("<ossec_config><integration><name>custom-a</name></integration></ossec_config>")
    found = preview(config, tmp_path / "alerts.json", {"COURIER_WORKER_WAZUH_HOME": str(tmp_path)})
    assert list(replacements([Integration(id="custom-a", name="custom-a")], found)) == [
        "custom-a: custom-a does not exist on this machine; the demo's script runs in its place"
    ]


def test_service_is_replaced_by_the_demos_server() -> None:
    (line,) = replacements([Integration(id="soc", name="pagerduty")], Preview())
    assert line == "soc: a server of the demo responds in place of PagerDuty"
