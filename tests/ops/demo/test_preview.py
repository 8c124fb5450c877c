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


def test_checks_words_come_first_and_missing_scripts_get_no_replacement(tmp_path: Path) -> None:
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
    stage = set_stage(home, config, address="http://127.0.0.1:1", flower_port=1, unusable=found.unusable)
    assert [file.name for file in (home / "integrations").iterdir()] == ["custom-a"]
    assert list(replacements(stage.integrations, found)) == [
        "custom-a: the demo's own script runs in place of custom-a",
        "custom-b: your script cannot be run, so its deliveries fail",
    ]


def test_a_script_that_is_not_here_is_said_to_be_replaced(tmp_path: Path) -> None:
    config = tmp_path / "ossec.conf"
    config.write_text("<ossec_config><integration><name>custom-a</name></integration></ossec_config>")
    found = preview(config, tmp_path / "alerts.json", {"COURIER_WORKER_WAZUH_HOME": str(tmp_path)})
    assert list(replacements([Integration(id="custom-a", name="custom-a")], found)) == [
        "custom-a: there is no custom-a here; the demo's own script runs in its place"
    ]


def test_a_server_of_the_demo_answers_for_a_service() -> None:
    (line,) = replacements([Integration(id="soc", name="pagerduty")], Preview())
    assert line == "soc: a server of the demo answers in place of PagerDuty"
