"""The findings of `courier check` about scripts, alert log, state folder, socket and recent alerts."""

from __future__ import annotations

import gzip
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from ops.admin.check.recent import MAX_ALERTS, count_recent
from ops.cli.main import main
from tests.support.ordinary_user import courier, folder_with_closed_ones
from tests.support.processes import alert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from common.integration import Integration

from common.integration import Integration as Block

MONTH = "2026/Jan"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("integrations", "queue", "state", MONTH):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "alerts.json").write_bytes(alert(1))
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "COURIER_WORKER_WAZUH_HOME": ".",
        "COURIER_WORKER_INTEGRATIONS_DIR": "integrations",
        "COURIER_WORKER_QUEUE_SOCKET": "queue/queue",
        "COURIER_PRODUCER_ALERTS": "alerts.json",
        "COURIER_PRODUCER_CONFIG": "ossec.conf",
        "COURIER_STATE_DIR": "state",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def queue(home: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(home / "queue/queue"))
        yield listening


def blocks(home: Path, *names: str, more: str = "") -> None:
    text = "\n".join(f"<integration><name>{name}</name>{more}</integration>" for name in names)
    (home / "ossec.conf").write_text(f"<ossec_config>\n{text}\n</ossec_config>")


def checked(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as end:
        main(["check", "--json"])
    return int(end.value.code or 0), json.loads(capsys.readouterr().out)


def texts(report: dict[str, Any]) -> str:
    return "\n".join(f"{one['severity']}: {one['where']} {one['text']}" for one in report["findings"])


def write_script(home: Path, name: str, content: bytes = b"#!/bin/sh\n", mode: int = 0o550) -> None:
    script = home / "integrations" / name
    script.write_bytes(content)
    script.chmod(mode)


@pytest.mark.usefixtures("queue")
def test_check_passes_without_findings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks(home, "custom-a")
    write_script(home, "custom-a")
    code, report = checked(capsys)
    assert code == 0
    assert report["integrations"][0]["verdict"] == "runs"
    assert report["integrations"][0]["taken"] == 1
    assert [one for one in report["findings"] if one["severity"] != "note"] == []


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"#!/bin/sh\r\n", 0o550, "the first line has a Windows line end (CR LF); save the file with LF only"),
        (b"#!/bin/sh\n", 0o440, "is not executable"),
        (b"#!/usr/bin/pyhton3\n", 0o550, "the interpreter /usr/bin/pyhton3 in its first line does not exist"),
        (b"#!/bin/sh\n", 0o572, "is writable for users other than root"),
        (
            None,
            0,
            "integrations/custom-a does not exist; found custom-a.py, but the file name must",
        ),
    ],
)
def test_scripts(home: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, mode: int, words: str) -> None:
    blocks(home, "custom-a", "custom-b")
    write_script(home, "custom-a.py")
    write_script(home, "custom-b")
    if content is not None:
        write_script(home, "custom-a", content, mode)
    code, report = checked(capsys)
    first, second = report["integrations"]
    assert (code, first["verdict"], second["verdict"]) == (78, "cannot run", "runs")
    (finding,) = first["findings"]
    assert finding["severity"] == "error"
    assert words in finding["text"]


@pytest.mark.usefixtures("queue")
def test_manager_log_that_scripts_cannot_write(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = home / "logs" / "integrations.log"
    log.mkdir(parents=True)  # a directory, so that even root cannot append to it
    blocks(home, "custom-a")
    write_script(home, "custom-a")
    code, report = checked(capsys)
    assert code == 0
    assert [one["severity"] for one in report["findings"] if f"cannot append to {log}" in one["text"]] == ["warning"]
    blocks(home, "slack", more="<hook_url>http://x</hook_url>")  # no script, no warning
    assert not [one for one in checked(capsys)[1]["findings"] if "cannot append" in one["text"]]


def test_missing_paths_are_warnings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks(home)
    (home / "alerts.json").unlink()
    (home / "state").rmdir()
    code, report = checked(capsys)
    assert code == 0
    said = texts(report)
    assert f"warning: {home}/alerts.json the alert log does not exist yet" in said
    assert f"warning: {home}/state the state folder does not exist yet" in said
    assert f"the manager's queue {home}/queue/queue does not exist: is the manager running" in said


@pytest.mark.parametrize(("as_user", "key", "refused"), [(1, "", True), (0, "", False), (1, "k", False)])
@pytest.mark.usefixtures("queue")
def test_state_folder_with_secrets_writable_by_others_is_an_error(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    as_user: int,
    key: str,
    refused: bool,
) -> None:
    blocks(home)
    (home / "state").chmod(0o777)
    monkeypatch.setenv("COURIER_SECRET_KEY", key)
    if os.geteuid() == 0:
        monkeypatch.setattr("os.geteuid", lambda: as_user)
    elif not as_user:
        pytest.skip("it takes root to check as root")
    code, report = checked(capsys)
    assert (f"other users can write {home}/state, mode 0777; run `chmod go-w {home}/state`" in texts(report)) == refused
    assert code == (78 if refused else 0)


def test_paths_of_the_wrong_type_are_errors(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks(home)
    (home / "alerts.json").unlink()
    (home / "alerts.json").mkdir()
    (home / "state").rmdir()
    (home / "state").write_text("")
    (home / "queue/queue").write_text("")
    code, report = checked(capsys)
    assert code == 78
    errors = [one["text"] for one in report["findings"] if one["severity"] == "error"]
    assert [text.split(" ")[:4] for text in errors] == [
        ["the", "alert", "log", "is"],
        ["the", "state", "folder", "is"],
        ["the", "manager's", "queue", f"{home}/queue/queue"],
    ]


def test_paths_without_permission_are_errors() -> None:
    with folder_with_closed_ones() as folder:
        blocks(folder, "custom-a")
        (folder / "alerts.json").write_bytes(alert(1))
        (folder / "alerts.json").chmod(0)
        for name in ("state", "integrations", "queue"):
            (folder / name).mkdir()
            (folder / name).chmod(0)
        settings = {
            "COURIER_WORKER_WAZUH_HOME": ".",
            "COURIER_WORKER_INTEGRATIONS_DIR": "integrations",
            "COURIER_WORKER_QUEUE_SOCKET": "queue/queue",
            "COURIER_STATE_DIR": "state",
        }
        done = courier("check", "--config", "ossec.conf", "--alerts", "alerts.json", cwd=folder, **settings)
        assert (done.returncode, done.stderr) == (78, "")
        errors = [line for line in done.stdout.splitlines() if line.startswith("error")]
        assert len(errors) == 4, done.stdout
        assert all(words in done.stdout for words in ("integrations/custom-a cannot be checked: Permission denied",))


def counted(home: Path, *integrations: Integration) -> tuple[int, dict[str, int], dict[str, str]]:
    found = count_recent(home / "alerts.json", integrations, clock=lambda: 0.0)
    return found.alerts, dict(found.taken), dict(found.why_none)


def test_last_alerts_are_counted_from_the_end(home: Path) -> None:
    """If today's log is short, yesterday's archive is read too. A file with two names is counted once."""
    (home / MONTH / "ossec-alerts-30.json.gz").write_bytes(
        gzip.compress(
            b"".join(alert(n, level=3) for n in range(20)) + b"".join(alert(n, level=9) for n in range(MAX_ALERTS))
        )
    )
    today = home / MONTH / "ossec-alerts-31.json"
    today.write_bytes(b"no alert\n\n" + b"".join(alert(n, level=12) for n in range(5)) + alert(6)[:30])
    (home / "alerts.json").unlink()
    os.link(today, home / "alerts.json")
    alerts, taken, why = counted(home, Block(id="a", name="a", level=3), Block(id="b", name="b", level=10))
    assert (alerts, taken, why) == (MAX_ALERTS, {"a": MAX_ALERTS, "b": 5}, {})


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (
            Block(id="a", name="a", group="sysckeck"),
            "no alert matches <group>; 'sysckeck': did you mean sysche",
        ),
        (Block(id="a", name="a", group="shd"), "no alert matches <group>; 'shd': did you mean sshd?"),
        (Block(id="a", name="a", level=15), "matches 0 of the last 2 alerts: no alert matches <level>"),
        (Block(id="a", name="a", rule_ids=(1,), event_location="x"), "no alert matches <rule_id> and <event_location>"),
        (Block(id="a", name="a", level=9, group="web"), "no alert matches all of its filters together"),
    ],
)
def test_reason_for_a_block_without_matches(home: Path, block: Integration, why: str) -> None:
    web = json.loads(alert(2, level=3)) | {"rule": {"level": 3, "id": "31101", "groups": ["web"]}}
    (home / "alerts.json").write_bytes(alert(1) + json.dumps(web).encode() + b"\n")
    alerts, taken, said = counted(home, block)
    assert (alerts, taken) == (2, {"a": 0})
    assert why in said["a"]


def test_likely_typo_is_reported_without_alerts(home: Path) -> None:
    (home / "alerts.json").unlink()
    block = Block(id="a", name="a", group="sysckeck")
    assert counted(home, block) == (0, {"a": 0}, {"a": "<group>: 'sysckeck': did you mean syscheck?"})


def test_counting_stops_at_the_time_limit(home: Path) -> None:
    (home / "alerts.json").write_bytes(alert(1) * 5000)
    clock = iter(range(0, 10**6, 2))
    found = count_recent(home / "alerts.json", [Block(id="a", name="a")], clock=lambda: float(next(clock)))
    assert found.alerts < 5000


def test_damaged_files_are_skipped(home: Path) -> None:
    (home / MONTH / "ossec-alerts-30.json.gz").write_bytes(gzip.compress(alert(1) * 99)[:40])
    assert counted(home, Block(id="a", name="a"))[0] == 1


@pytest.mark.parametrize(("name", "file"), [("custom-x.py", "custom-x"), ("custom-x", "Custom-X.sh")])
def test_script_with_a_similar_file_name_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], name: str, file: str
) -> None:
    blocks(home, name)
    write_script(home, file)
    _, report = checked(capsys)
    assert f"; found {file}, but the file name must" in report["integrations"][0]["findings"][0]["text"]
