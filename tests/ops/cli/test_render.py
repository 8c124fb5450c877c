from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.secret import MASK
from ops.cli.main import courier, main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """<ossec_config>
<integration><name>slack</name><hook_url>https://hooks.slack.example/services/T0/s3cr3t-s3cr3t</hook_url>
<level>7</level>
<options>{"pretext":"Wazuh says","token":"hush-hush"}</options><alert_format>json</alert_format></integration>
<integration><name>virustotal</name><api_key>s3cr3t-s3cr3t</api_key><alert_format>json</alert_format></integration>
<integration><name>maltiverse</name><api_key>s3cr3t-s3cr3t</api_key><hook_url>https://api.mv.example/s3cr3t-s3cr3t</hook_url>
<alert_format>json</alert_format></integration>
<integration><name>custom-a</name><api_key>s3cr3t-s3cr3t</api_key><options>hush-hush</options></integration>
</ossec_config>"""
ALERT: dict[str, object] = {
    "timestamp": "2026-01-31T08:00:00.000+0000",
    "rule": {"level": 5, "id": "5710", "description": "sshd"},
    "agent": {"id": "001", "name": "web01"},
    "id": "1.2",
    "full_log": "logged s3cr3t-s3cr3t",
    "data": {"srcip": "8.8.4.4"},
    "location": "/var/log/secure",
}


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ossec.conf").write_text(CONFIG)


def render(integration: str, alert: bytes | dict[str, object], *options: str) -> tuple[int, str]:
    content = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    arguments = ["render", "--config", "ossec.conf", "--integration", integration, "--alert", "-", *options]
    result = CliRunner().invoke(courier, arguments, input=content)
    assert "s3cr3t" not in result.output
    assert "hush" not in result.output
    return result.exit_code, result.stdout


def test_a_request(tmp_path: Path) -> None:
    code, out = render("slack", ALERT)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == (
        "filters: no match: the alert would not be delivered: <level> requires 7 or more, the alert has 5"
    )
    assert f"POST https://hooks.slack.example/{MASK}" in lines
    assert "content-type: application/json" in lines
    body = json.loads(lines[-1])
    assert body["attachments"][0] | {"fields": []} == {
        "color": "warning",
        "pretext": "Wazuh says",
        "token": MASK,
        "title": "sshd",
        "text": f"logged {MASK}",
        "fields": [],
        "ts": "1.2",
    }
    assert not (tmp_path / "state").exists()


def test_lookup() -> None:
    alert = {**ALERT, "syscheck": {"path": "/x", "md5_after": "0" * 32, "sha1_after": "1" * 40}}
    _, out = render("virustotal", alert)
    address = "https://www.virustotal.com/vtapi/v2/file/report"
    assert f"GET {address}?apikey={MASK}&resource={'0' * 32}\n" in out
    assert "filters: match: the alert would be delivered\n" in out


def test_all_lookups_are_shown() -> None:
    _, out = render("maltiverse", ALERT)
    assert f"GET https://api.mv.example/{MASK}/ip/8.8.4.4\n" in out
    assert f"Authorization: Bearer {MASK}\n" in out


def test_a_script_and_its_files() -> None:
    _, out = render("custom-a", ALERT)
    vector = ["integrations/custom-a", "<alert file>", MASK, "", "", "<options file>", "10", "3"]
    assert [line for line in out.splitlines() if line.startswith("argv")] == [
        f"argv[{position}]: {value}" for position, value in enumerate(vector)
    ]
    assert "  alertlevel='5'\n" in out
    assert f"  alertlog='logged {MASK}'\n" in out
    assert f"<options file>:\n  {MASK}\n" in out
    assert "error: " in out  # there is no such script on this machine


def test_reason_for_sending_nothing_is_shown() -> None:
    assert "skipped: no_file_hash: no hash of the file in syscheck\n" in render("virustotal", ALERT)[1]
    assert "rejected: invalid_alert: " in render("slack", {**ALERT, "rule": {"id": "1"}})[1]
    _, out = render("slack", b"nonsense")
    assert out.startswith("filters: not an alert: the line would be rejected (invalid_json")
    assert "\nrejected: invalid_alert: the alert cannot be read" in out


def test_json() -> None:
    document = json.loads(render("slack", ALERT, "--json")[1])
    assert document["outcome"] == "send"
    assert document["filters"].startswith("no match")
    assert document["calls"][0]["method"] == "POST"


def test_alert_can_span_several_lines() -> None:
    assert render("slack", json.dumps(ALERT, indent=1).encode())[1] == render("slack", ALERT)[1]


@pytest.mark.parametrize(
    ("alert", "message"),
    [
        (b"\n", "the input is empty; give one line of alerts.json"),
        (b'{"a":1}\n{"a":2}\n', "the input has 2 lines; give one line of alerts.json"),
    ],
)
def test_input_that_is_not_one_alert(
    alert: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alert").write_bytes(alert)
    with pytest.raises(SystemExit) as end:
        main(["render", "--config", "ossec.conf", "--integration", "slack", "--alert", "alert"])
    assert (end.value.code, capsys.readouterr().err) == (1, f"courier: {message}\n")


def test_unknown_integration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "alert").write_text("{}")
    with pytest.raises(SystemExit) as end:
        main(["render", "--config", "ossec.conf", "--integration", "teams", "--alert", "alert"])
    err = capsys.readouterr().err
    assert end.value.code == 1
    assert err.endswith("known integrations: slack, virustotal, maltiverse, custom-a\n")


def test_each_filter_that_does_not_match_is_named(tmp_path: Path) -> None:
    (tmp_path / "ossec.conf").write_text(
        "<ossec_config><integration><name>slack</name><hook_url>https://h.example/x</hook_url><level>7</level>"
        "<rule_id>1,2</rule_id><group>web,</group><event_location>^/var</event_location>"
        "<alert_format>json</alert_format></integration></ossec_config>"
    )
    first = render("slack", {**ALERT, "full_log": "x", "location": "C:\\log\x1b[2J"})[1].splitlines()[0]
    assert first == (
        "filters: no match: the alert would not be delivered: <level> requires 7 or more, the alert has 5; "
        "<rule_id> requires 1 or 2, the alert has 5710; <group> requires 'web', the alert has none; "
        "<event_location> requires '^/var', the alert has C:\\log\\u001b[2J"
    )
    rule = {"level": 7, "id": "2", "description": "x", "groups": ["web", "x"]}
    assert render("slack", {**ALERT, "full_log": "x", "rule": rule})[1].startswith("filters: match: ")


@pytest.mark.parametrize(
    ("integration", "expected", "code"),
    [("slack", "match", 1), ("slack", "no-match", 0), ("virustotal", "match", 0), ("virustotal", "no-match", 1)],
)
def test_expect_sets_the_exit_code(integration: str, expected: str, code: int) -> None:
    assert render(integration, ALERT, "--expect", expected)[0] == code


def test_a_name_means_all_blocks_of_that_name(tmp_path: Path) -> None:
    block = "<integration><name>slack</name><hook_url>https://{}.example/</hook_url></integration>"
    (tmp_path / "ossec.conf").write_text(f"<ossec_config>{block.format('a')}{block.format('b')}</ossec_config>")
    code, out = render("slack", {**ALERT, "full_log": "x"})
    assert code == 0
    assert "POST https://a.example" in out
    assert "POST https://b.example" in out


def test_a_digest_of_such_alerts() -> None:
    code, out = render("slack", ALERT, "--digest")
    assert code == 0
    assert out.startswith("filters: no match: ")
    (attachment,) = json.loads(out.splitlines()[-1])["attachments"]
    assert attachment["title"] == "214 more: sshd"
    assert attachment["text"] == f"Samples:\n2026-01-31T08:00:00.000+0000 web01: logged {MASK}"
    shown = {one["title"]: one["value"] for one in attachment["fields"]}
    assert (shown["Count"], shown["Top data.srcip"]) == ("214", "8.8.4.4 (214)")


def test_no_digest_of_what_is_no_alert() -> None:
    code, out = render("slack", b"[1]", "--digest")
    assert (code, out) == (1, "")


def test_a_digest_by_the_terms_of_the_integration(tmp_path: Path) -> None:
    (tmp_path / "courier.toml").write_text(
        '[integrations.slack.digest]\nby = ["agent.name"]\ntop = ["rule.id"]\nsamples = 0\n'
    )
    (attachment,) = json.loads(render("slack", ALERT, "--digest")[1].splitlines()[-1])["attachments"]
    shown = [(one["title"], one["value"]) for one in attachment["fields"]]
    assert shown[-2:] == [("agent.name", "web01"), ("Top rule.id", "5710 (214)")]
    assert attachment["text"] == ""


def test_a_refused_integration_is_shown_with_its_error(tmp_path: Path) -> None:
    table = '[integrations.soc]\nservice = "discord"\nhook_url = "https://h.example/s3cr3t-s3cr3t"\n'
    (tmp_path / "courier.toml").write_text(f'{table}[integrations.soc.message]\ntext = "{{{{ rule.id"\n')
    arguments = ["render", "--config", "ossec.conf", "--integration", "soc", "--alert", "-"]
    error = str(CliRunner().invoke(courier, arguments, input=json.dumps(ALERT)).exception)
    assert error.startswith("the integration 'soc' is refused: ")
    assert "courier.toml:5: integrations.soc.message.text: line 1 of the template: " in error
