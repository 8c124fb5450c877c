"""The commands know the integrations of courier.toml, and what several nodes say of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from common.registry.encryption import Cipher
from common.registry.published import PublishedRegistry
from ops.cli.main import courier
from tests.support.fakes import SLACK
from tests.support.processes import alert

if TYPE_CHECKING:
    from pathlib import Path

    import redis
    from click.testing import Result

    from ops.standalone.embedded_redis import EmbeddedServer

TOML = """
[integrations.soc]
service = "slack"
hook_url = "file:{folder}/hook"
level = 7
except = ["rule.id = 1"]

[integrations.custom-teams]
service = "slack"
"""
BLOCK = "<integration><name>custom-teams</name><hook_url>https://h.example/s3cr3t</hook_url></integration>"
DIFFER = "wazuh-1 configures it with another level; workers use what wazuh-2 says, which changed last"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, server: EmbeddedServer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of a manager; the current one. Two nodes publish different descriptions of `slack`."""
    (tmp_path / "hook").write_text("https://h.example/s3cr3t")
    (tmp_path / "courier.toml").write_text(TOML.format(folder=tmp_path))
    (tmp_path / "ossec.conf").write_text(f"<ossec_config>{BLOCK}</ossec_config>")
    (tmp_path / "alerts.json").write_bytes(alert(1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURIER_REDIS_URL", server.url)
    monkeypatch.setenv("COURIER_PRODUCER_CONFIG", "ossec.conf")
    monkeypatch.setenv("COURIER_PRODUCER_ALERTS", "alerts.json")
    monkeypatch.setenv("COURIER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COURIER_WORKER_WAZUH_HOME", str(tmp_path / "home"))
    registry = PublishedRegistry(client, Cipher(Fernet.generate_key()))
    registry.publish("wazuh-1", [SLACK])
    registry.publish("wazuh-2", [msgspec.structs.replace(SLACK, level=9)])
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(courier, arguments)
    assert "s3cr3t" not in result.output
    return result


def test_check_lists_them_with_their_lines_and_the_differences_of_nodes() -> None:
    found = run("check")
    rows = [line.split("\t") for line in found.stdout.splitlines()[1:3]]
    assert [row[:3] for row in rows] == [
        ["custom-teams", "1", "every alert"],
        ["soc", "courier.toml:3", "alerts of level 7 or higher where not (rule.id = 1)"],
    ]
    assert f"warning: slack: {DIFFER}" in found.stdout
    assert found.exit_code == 0


def test_check_fails_for_an_invalid_table(folder: Path) -> None:
    (folder / "courier.toml").write_text("[integrations.soc]\nservice = 'slak'\n")
    found = run("check", "--json")
    report = json.loads(found.stdout)
    assert (found.exit_code, [one["verdict"] for one in report["integrations"]]) == (78, ["runs, 1 warning", "refused"])
    (finding,) = report["integrations"][1]["findings"]
    assert (finding["where"], finding["text"][:36]) == ("courier.toml:2", 'integrations.soc.service: "slak" is ')


def test_check_finds_conditions_on_fields_that_alerts_do_not_have(folder: Path) -> None:
    silence = '[[silences]]\nmatch = ["agent = web01 and data.srcip"]\nuntil = 2030-01-01T00:00:00Z\nwhy = "x"\n'
    (folder / "courier.toml").write_text(
        '[conditions]\nours = ["srcip in 10.0.0.0/8", "rule.level > 30"]\n'
        '[integrations.custom-teams]\nonly = ["level >= 1"]\n'
        f'except = ["@ours", "agent.groups = test", "agent and rule.mitre.id"]\n{silence}'
        '[integrations.soc]\nservice = "slack"\nhook_url = "https://h.example/x"\n'
        '[integrations.soc.digest]\nby = ["agent.groups"]\nmatch = ["level > 3"]\n'
    )
    found = run("check")
    warnings = {line.partition(": ")[2].partition(": ")[2] for line in found.stdout.splitlines() if "warning" in line}
    assert warnings >= {
        "only: alerts have no value in level; did you mean rule.level?",
        "except: alerts have no value in srcip; did you mean data.srcip?",
        "the alerts of Wazuh 4.x carry no agent.groups: set [agents] file",
        "digest.match: alerts have no value in level; did you mean rule.level?",
    }
    assert found.stdout.count("carry no agent.groups") == 2
    assert "warning: [[silences]] 'x': alerts have no value in agent; did you mean agent.name?" in found.stdout
    assert found.stdout.count("did you mean") == 4
    assert found.exit_code == 0


def test_only_integrations_count_as_integrations(folder: Path) -> None:
    text = TOML.format(folder=folder) + '[windows]\nx = 1\n[agents]\nfile = "missing"\n[conditions]\nbad = ["a =="]\n'
    (folder / "courier.toml").write_text(f'{text}[[silences]]\nrule = 5710\nreason = "x"\n')
    found = run("check")
    for error in (
        "courier.toml:11: windows.x: ",
        f"{folder}/missing: agents.file cannot be read: ",
        "courier.toml:15: conditions.bad",
        'courier.toml:17: there is no key silences.1.rule; write match = ["rule.id = 5710"]',
        "courier.toml:18: there is no key silences.1.reason; write why",
    ):
        assert f"error: {error}" in found.stdout
    assert "FAILED: 2 of 2 integrations can run; 5 errors" in found.stdout


def test_check_and_config_know_windows_and_holds(folder: Path) -> None:
    windows = 'night = {from = "22:00", to = "06:00"}\nunused = {days = "sat-sun"}\n'
    table = (
        f'[integrations.soc]\nservice = "slack"\nhook_url = "file:{folder}/hook"\nhold = {{in = "night", below = 12}}\n'
    )
    (folder / "courier.toml").write_text(f"[windows]\n{windows}{table}")
    found = run("check")
    assert "every alert; held below level 12 in night" in found.stdout
    assert "warning: courier.toml:3: windows.unused: no `hold` uses this window" in found.stdout
    assert "windows.night:" not in found.stdout
    assert found.exit_code == 0
    shown = run("config").stdout
    assert 'integrations.soc.hold = {in = "night", below = 12}  # courier.toml:7' in shown
    assert 'windows.night = [{days = "mon-sun", from = "22:00", to = "06:00", zone = "UTC"}]  # courier.toml:2' in shown

    (folder / "courier.toml").write_text(f"[windows]\nnight = {{from = '26:00'}}\n{table}")
    found = run("check")
    assert "error: courier.toml:2: windows.night: from: '26:00' is not a time of day" in found.stdout
    problem = "there is no window 'night'; [windows] has none"
    assert f"error: courier.toml:6: integrations.soc.hold: {problem}" in found.stdout
    assert found.exit_code == 78

    (folder / "courier.toml").write_text(f"[windows]\nnight = {{}}\n{table}")
    assert (
        "error: courier.toml:6: integrations.soc.hold: the window 'night' covers the whole week" in run("check").stdout
    )


def test_status_shows_where_nodes_differ() -> None:
    assert f"slack: {DIFFER}" in run("status").stderr
    assert json.loads(run("status", "--json").stdout)["integrations"]["slack"]["differing"] == {"wazuh-1": ["level"]}
    assert f"slack: {DIFFER}" in run("status", "--check").stdout


def test_config_shows_them_and_refuses_an_invalid_table(folder: Path) -> None:
    shown = run("config").stdout
    assert 'integrations.soc.service = "slack"  # courier.toml:3' in shown
    assert f'integrations.soc.hook_url = "file:{folder}/hook"  # courier.toml:4' in shown
    (folder / "courier.toml").write_text("[integrations.soc]\nlevl = 3\n")
    assert "courier.toml:2: there is no key integrations.soc.levl" in str(run("config").exception)


@pytest.mark.parametrize("one", ["soc", "custom-teams"])
def test_render_and_shadow_use_the_service(folder: Path, one: str) -> None:
    rendered = run("render", "--integration", one, "--alert", "alerts.json").stdout
    assert "POST https://h.example/" in rendered
    shown = run("shadow", "--once", "--from", "beginning").stdout
    assert [line.split("\t")[0] for line in shown.splitlines()[1:]] == ["custom-teams", "soc"]
    (folder / "hook").write_text("nowhere")
    assert "integrations.soc.hook_url: is not a URL" in run("shadow", "--once").stderr
