from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.integration import Integration
from ops.cli.check import filters_in_words
from ops.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SLACK = "<integration>\n<name>slack</name><hook_url>https://x/s3cr3t</hook_url><level>7</level></integration>"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(file: Path, capsys: pytest.CaptureFixture[str], blocks: str | None) -> tuple[int, str, str]:
    if blocks is not None:
        file.write_text(f"<ossec_config>\n{blocks}\n</ossec_config>")
    with pytest.raises(SystemExit) as end:
        main(["check", "--config", str(file)])
    out, err = capsys.readouterr()
    assert "s3cr3t" not in out + err
    return int(end.value.code or 0), out, err


def test_good_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    blocks = f'{SLACK}\n<integration id="soc"><name>custom-a</name></integration>'
    code, out, err = check(file, capsys, blocks)
    assert (code, err) == (0, "")
    slack, script, warning = out.splitlines()
    assert slack == f"slack: slack, alerts of level 7 or higher ({file}:2)"
    assert script == f"soc: custom-a, every alert ({file}:4)"
    assert warning.startswith(f"warning: {file}:2: <alert_format>: is not json: the stock script would fail")


def test_a_refused_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, err = check(file, capsys, f"<integration><name>slack</name></integration>{SLACK}")
    assert code == 78
    assert out.startswith("slack-")
    assert out.splitlines()[-1].startswith(f"refused: {file}:2: <hook_url>: is missing: slack needs it")
    assert err == f"courier: {file}: some integrations are refused, as told above; the others run\n"


def test_no_integration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ossec.conf"
    code, out, _ = check(file, capsys, "")
    assert (code, out) == (0, f"{file} has no <integration>: there is nothing to deliver\n")


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(tmp_path / "none", capsys, None)
    assert (code, out) == (78, "")
    assert err.startswith(f"courier: {tmp_path}/none: there is no such file")
    assert err.count("\n") == 1


def test_a_fallback_that_is_no_integration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "courier.toml").write_text('[integrations.default]\nfallback = "soc"\n')
    file = tmp_path / "ossec.conf"
    code, out, _ = check(file, capsys, SLACK)
    assert code == 0
    assert out.splitlines()[-1] == (
        "warning: slack: its fallback 'soc' is no integration of this ossec.conf: write another id"
    )
    _, out, _ = check(file, capsys, f'{SLACK}<integration id="soc"><name>custom-a</name></integration>')
    assert "its fallback" not in out


def test_the_setting_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "courier.toml").write_text('[producer]\nconfig = "mine.conf"\n')
    (tmp_path / "mine.conf").write_text("<ossec_config/>")
    with pytest.raises(SystemExit) as end:
        main(["check"])
    assert end.value.code == 0
    assert "mine.conf has no <integration>" in capsys.readouterr().out


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
    ],
)
def test_filters_in_words(integration: Integration, words: str) -> None:
    assert filters_in_words(integration) == words


def test_a_log_of_the_manager_that_scripts_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs" / "integrations.log").mkdir(parents=True)  # what not even root can append to
    monkeypatch.setenv("COURIER_WORKER_HOME", str(tmp_path))
    told = f"cannot append to {tmp_path}/logs/integrations.log"
    code, out, _ = check(tmp_path / "ossec.conf", capsys, "<integration><name>custom-a</name></integration>")
    assert code == 0
    assert told in out.splitlines()[-1]
    assert told not in check(tmp_path / "ossec.conf", capsys, SLACK)[1]  # no script, no warning
