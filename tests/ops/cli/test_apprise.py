"""The commands of an operator who uses Apprise, with a block of ossec.conf and tables of courier.toml."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ops.cli.main import courier
from tests.support.processes import alert
from tests.workers.transports.servers import web

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.workers.transports.servers import Web

TOML = """
[integrations.custom-push]
service = "apprise"

[integrations.mail]
service = "apprise"
hook_url = "mailto://me:s3cr3t@example.org"
"""
BLOCK = "<integration><name>custom-push</name><hook_url>json://me:s3cr3t@127.0.0.1:{port}/x</hook_url></integration>"


@pytest.fixture(autouse=True)
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with web() as served:
        (tmp_path / "courier.toml").write_text(TOML)
        (tmp_path / "ossec.conf").write_text(f"<ossec_config>{BLOCK.format(port=served.port)}</ossec_config>")
        (tmp_path / "alerts.json").write_bytes(alert(1))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COURIER_PRODUCER_CONFIG", "ossec.conf")
        monkeypatch.setenv("COURIER_PRODUCER_ALERTS", "alerts.json")
        monkeypatch.setenv("COURIER_STATE_DIR", str(tmp_path / "state"))
        monkeypatch.setenv("COURIER_WORKER_WAZUH_HOME", str(tmp_path / "home"))
        yield served


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(courier, arguments)
    assert "s3cr3t" not in result.output
    assert "Traceback" not in result.output
    return result


def test_check_says_what_apprise_does_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("check")
    assert "courier.toml:6: hook_url is for email, which Courier refuses" in found.stdout
    assert found.stdout.splitlines()[-1].startswith("FAILED: 1 of 2 integrations can run; 1 error, ")
    monkeypatch.setitem(sys.modules, "apprise", None)
    without = run("check")
    install = "Apprise is not installed here; for each worker: pip install 'courier-integrator[apprise]'"
    assert f"ossec.conf:1: hook_url was not checked: {install}" in without.stdout
    assert "error: " not in without.stdout


def test_a_block_of_ossec_conf_sends_by_apprise_in_place_of_its_script(target: Web) -> None:
    rendered = run("render", "--integration", "custom-push", "--alert", "alerts.json", "--json")
    (call,) = json.loads(rendered.stdout)["calls"]
    assert (call["method"], call["url"]) == ("APPRISE text", "json://********")
    assert target.seen == []
    sent = run("test", "custom-push", "--direct")
    assert sent.stdout.startswith("custom-push: delivered")
    (request,) = target.seen
    assert request.headers["authorization"].startswith("Basic ")
    assert json.loads(request.body)["title"].startswith("Courier test:")
