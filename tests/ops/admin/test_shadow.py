from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from common.integration import Integration
from common.secret import MASK, Secret
from common.settings.load import load_settings
from ops.admin.shadow import Shadow
from ops.cli import shadow as command
from ops.cli.main import courier, main
from tests.support.fakes import policy
from tests.support.sources import ListSource

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """<ossec_config>
<integration><name>slack</name><hook_url>https://hooks.slack.example/services/T0/s3cr3t-s3cr3t</hook_url>
<level>7</level><alert_format>json</alert_format></integration>
<integration><name>virustotal</name><api_key>s3cr3t-s3cr3t</api_key><alert_format>json</alert_format></integration>
<integration><name>pagerduty</name></integration>
</ossec_config>"""
DEADLINE_S = 30.0


def line(level: int, **more: object) -> str:
    rule = {"level": level, "id": "5710", "description": "sshd"}
    alert = {"rule": rule, "id": f"1.{level}", "location": "x", "timestamp": "t", **more}
    return json.dumps(alert) + "\n"


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ossec.conf").write_text(CONFIG)
    broken = '{"rule":{"level":9},"location":"x"}\n'
    (tmp_path / "alerts.json").write_text(line(5) + line(7, full_log="s3cr3t-s3cr3t") + "nonsense\n" + broken)


OPTIONS = ["--config", "ossec.conf", "--alerts", "alerts.json"]


def shadow(*options: str) -> tuple[str, str]:
    result = CliRunner().invoke(courier, ["shadow", *OPTIONS, *options], catch_exceptions=False)
    assert result.exit_code == 0
    assert "s3cr3t" not in result.output
    return result.stdout, result.stderr


def test_counts_by_integration() -> None:
    out, err = shadow("--from", "beginning", "--once")
    assert [row.split("\t") for row in out.splitlines()] == [
        ["Integration", "Matched", "Would send", "Skipped", "Rejected"],
        ["slack", "2", "1", "-", "invalid_alert 1"],
        ["virustotal", "3", "0", "no_file_hash 3", "-"],
    ]
    assert "/ossec.conf:5: <api_key>: is missing: pagerduty needs it" in err
    assert err.splitlines()[-1] == "4 lines read, skipped: invalid_json 1; nothing was sent"


def test_shadow_starts_at_the_end_of_the_log() -> None:
    assert shadow("--once")[0].splitlines()[1] == "slack\t0\t0\t-\t-"


def test_out_file_is_private(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    out.chmod(0o644)
    shadow("--from", "beginning", "--once", "--out", "out.jsonl")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    assert "s3cr3t" not in text
    records = [json.loads(record) for record in text.splitlines()]
    assert [(one["integration"], one["outcome"], one.get("alert")) for one in records] == [
        ("virustotal", "skipped", "1.5"),
        ("slack", "send", "1.7"),
        ("virustotal", "skipped", "1.7"),
        ("slack", "rejected", None),
        ("virustotal", "skipped", None),
    ]
    assert records[1]["calls"][0]["url"] == f"https://hooks.slack.example/{MASK}"


def test_out_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["shadow", *OPTIONS, "--once", "--out", "no/such/folder"])
    assert end.value.code == 1
    assert capsys.readouterr().err.endswith("courier: no/such/folder cannot be written: No such file or directory\n")


def test_no_valid_integration_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ossec.conf").write_text("<ossec_config/>")
    with pytest.raises(SystemExit) as end:
        main(["shadow", *OPTIONS, "--once"])
    assert end.value.code == 1
    assert "ossec.conf has no valid integration" in capsys.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_shadow_follows_the_log_until_a_signal(tmp_path: Path, signum: signal.Signals) -> None:
    command = [sys.executable, "-m", "ops.cli.main", "shadow", *OPTIONS, "--from", "beginning", "--out", "out.jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        wait_for_lines(tmp_path / "out.jsonl", 5)
        with (tmp_path / "alerts.json").open("a") as log:
            log.write(line(12))
        wait_for_lines(tmp_path / "out.jsonl", 7)
        process.send_signal(signum)
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert "slack\t3\t2\t-\tinvalid_alert 1\n" in out


def wait_for_lines(file: Path, count: int) -> None:
    until = time.monotonic() + DEADLINE_S
    while not file.is_file() or file.read_text().count("\n") < count:
        assert time.monotonic() < until, "nothing more came"
        signal.sigtimedwait([], 0.05)


def test_terminal_shows_live_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slack = Integration(id="slack", name="slack", hook_url=Secret("https://x.example/s3cr3t"))
    source = ListSource([line(7).encode()])
    start = source.beginning()
    worker = load_settings(file=None, environment={}, cwd=tmp_path).worker
    counting = Shadow([slack], policy=lambda _: policy(), worker=worker, source=source, cursor=start, node="n")
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    with command.live(counting) as show:
        assert counting.read()
        show.update()
        assert isinstance(show, command.LiveTable)
        assert show._table().row_count == 1
    assert counting.rows() == [("slack", "1", "1", "-", "-")]


def test_conditions_apply(tmp_path: Path) -> None:
    hook = Secret("https://h.example/x")
    blocks = [
        Integration(id="one", name="slack", hook_url=hook, only=("@web",)),
        Integration(id="two", name="slack", hook_url=hook, except_=("@web", "rule.level < 7")),
    ]
    source = ListSource([line(level, agent={"name": name}).encode() for level in (5, 7) for name in ("web1", "db1")])
    counting = Shadow(
        blocks,
        policy=lambda _: policy(),
        worker=load_settings(file=None, environment={}, cwd=tmp_path).worker,
        source=source,
        cursor=source.beginning(),
        node="n",
        named_conditions={"web": ["agent.name = web*"]},
    )
    assert counting.read()
    assert {name: counts.matched for name, counts in counting.counts.items()} == {"one": 2, "two": 1}
