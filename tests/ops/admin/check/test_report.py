from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from common.integration import Integration, Section
from common.secret import Secret
from ops.admin.check.filters import describe
from ops.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SLACK = "<integration>\n<name>slack</name><hook_url>https://x/s3cr3t</hook_url><level>7</level></integration>"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURIER_WORKER_WAZUH_HOME", str(tmp_path / "no-manager"))  # the machine may have a manager
    monkeypatch.chdir(tmp_path)


def check(file: Path, capsys: pytest.CaptureFixture[str], blocks: str | None, *options: str) -> tuple[int, str, str]:
    if blocks is not None:
        file.write_text(f"<ossec_config>\n{blocks}\n</ossec_config>")
    with pytest.raises(SystemExit) as end:
        main(["check", *options, "--config", str(file)])
    out, err = capsys.readouterr()
    assert "s3cr3t" not in out + err
    return int(end.value.code or 0), out, err


def test_valid_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, err = check(file, capsys, f'{SLACK}\n<integration id="soc"><name>custom-a</name></integration>')
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()[:3]]
    assert rows == [
        ["Integration", "Line", "Filters", "Matches in last 0", "Verdict"],
        ["slack", "2", "alerts of level 7 or higher", "-", "runs, 1 warning"],
        ["soc", "4", "every alert", "-", "runs, 1 warning"],
    ]
    assert f"warning: {file}:2: <alert_format>: is not json: the stock script would fail" in out
    assert f"warning: {file}:4: the script was not checked: " in out
    assert out.splitlines()[-1].startswith("OK: 2 of 2 integrations can run; 0 errors, ")


def test_a_narrow_terminal_shows_ids_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.admin.terminal.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    long = "custom-" + "x" * 45
    _, out, _ = check(tmp_path / "ossec.conf", capsys, f"<integration><name>{long}</name></integration>")
    assert out.splitlines()[1].split("  ") == [long, "runs, 1 war…"]


def test_blocks_on_one_line_have_their_own_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = "<hook_url>https://x/s3cr3t</hook_url>"
    blocks = f"<integration><name>slack</name>{hook}<alert_format>json</alert_format></integration>"
    blocks += f"<integration><name>shuffle</name>{hook}</integration>"
    _, out, _ = check(tmp_path / "ossec.conf", capsys, blocks)
    assert [line.rpartition("\t")[2] for line in out.splitlines()[1:3]] == ["runs", "runs, 1 warning"]


def test_a_refused_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, err = check(file, capsys, f"<integration><name>slack</name></integration>{SLACK}")
    assert (code, err) == (78, "")
    assert out.splitlines()[1] == "slack\t2\t-\t-\trefused"
    assert f"error: {file}:2: <hook_url>: is missing: slack needs it" in out
    assert out.splitlines()[-1].startswith("FAILED: 1 of 2 integrations can run; 1 error, ")


def test_no_integration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, _ = check(file, capsys, "")
    assert (code, f"warning: {file}: has no <integration>, so there is nothing to deliver\n" in out) == (0, True)
    assert out.splitlines()[-1].startswith("OK: no integrations; ")


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(tmp_path / "none", capsys, None)
    assert (code, out) == (78, "")
    assert err.startswith(f"courier: {tmp_path}/none: there is no such file")
    assert err.count("\n") == 1


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, err = check(file, capsys, f"{SLACK}<integration><name>slack</name></integration>", "--json")
    report = json.loads(out)
    assert (code, err, report["version"], report["passed"], report["alerts"]) == (78, "", 1, False, 0)
    assert [(one["name"], one["taken"], one["verdict"]) for one in report["integrations"]] == [
        ("slack", None, "runs, 1 warning"),
        ("slack", None, "refused"),
    ]
    (finding,) = report["integrations"][1]["findings"]
    assert (finding["severity"], finding["where"]) == ("error", f"{file}:3")
    code, out, _ = check(tmp_path / "none", capsys, None, "--json")
    assert (code, json.loads(out).keys()) == (78, report.keys())


def test_unknown_fallback_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "courier.toml").write_text('[integrations.default]\nfallback = "soc"\n')
    file = tmp_path / "ossec.conf"
    code, out, _ = check(file, capsys, SLACK)
    assert code == 0
    assert "warning: slack: its fallback 'soc' is not an integration of this ossec.conf; use another id\n" in out
    _, out, _ = check(file, capsys, f'{SLACK}<integration id="soc"><name>custom-a</name></integration>')
    assert "its fallback" not in out


def test_settings_tables_without_integration_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = ["slak", "slack", "sla*", "manager", "pagerduty"]
    (tmp_path / "courier.toml").write_text("".join(f'[integrations."{one}"]\nmax_in_flight = 2\n' for one in tables))
    file = tmp_path / "ossec.conf"
    _, out, _ = check(file, capsys, f"{SLACK}<integration><name>pagerduty</name></integration>")
    about = [line for line in out.splitlines() if "matches no integration" in line]
    text = "[integrations.slak] matches no integration of this ossec.conf; known names and ids: slack"
    assert about == [f"warning: courier.toml:2: {text}"]


def test_the_setting_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "courier.toml").write_text('[producer]\nconfig = "mine.conf"\n')
    (tmp_path / "mine.conf").write_text("<ossec_config/>")
    with pytest.raises(SystemExit) as end:
        main(["check"])
    assert end.value.code == 0
    assert "mine.conf: has no <integration>" in capsys.readouterr().out


DIGEST = {
    "by": [],
    "first": 2,
    "every": "24h",
    "at": "08:00",
    "zone": "Europe/Berlin",
    "min": 3,
    "match": ["rule.level >= 5", "@ssh"],
}


@pytest.mark.parametrize(
    ("integration", "words"),
    [
        (Integration(id="a", name="a"), "every alert"),
        (Integration(id="a", name="a", rule_ids=(1, 2), group="x,y,"), "alerts of rule 1 or 2 and of group x or y"),
        (Integration(id="a", name="a", rule_ids=(), group=""), "alerts of no rule at all and of no group at all"),
        (
            Integration(id="a", name="a", level=3, event_location="!^/var"),
            "alerts of level 3 or higher and from a location that does not match '^/var'",
        ),
        (Integration(id="a", name="a", event_location="x"), "alerts from a location that matches 'x'"),
        (
            Integration(id="a", name="a", sections=(Section("digest", Secret(json.dumps(DIGEST))),)),
            (
                "every alert; digests of all alerts after the first 2 where rule.level >= 5 and @ssh, "
                "every 1d at 08:00 Europe/Berlin, for at least 3 alerts"
            ),
        ),
    ],
)
def test_filters_as_text(integration: Integration, words: str) -> None:
    assert describe(integration) == words
