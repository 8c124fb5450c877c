from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.demo.setup import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

    from ops.demo.target import Target

ALERT = {
    "rule": {"level": 10, "description": "Überfall", "groups": ["web"]},
    "agent": {"id": "001", "name": "web01"},
    "id": "1.2",
    "full_log": "log",
}
TEXT = """alertdate='2024-05-11T12:29:19.905+0000'
alertlocation='/var/log/secure'
ruleid='5712'
alertlevel='10'
ruledescription='sshd: it's brute force'
alertlog='Invalid user  paco'
srcip='10.0.0.1'"""


def call(path: Path, text: str, url: str) -> subprocess.CompletedProcess[str]:
    (path / "alert").write_text(text)
    arguments = [str(SCRIPT), str(path / "alert"), "key", url, "", "", "10", "3"]
    return subprocess.run(arguments, check=False, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("text", "identity", "title"),
    [
        (json.dumps(ALERT), "1.2", "[web01] Überfall"),
        (TEXT, "5712 2024-05-11T12:29:19.905+0000", "[unknown] sshd: it's brute force"),
    ],
)
def test_script_opens_a_ticket(tmp_path: Path, target: Target, text: str, identity: str, title: str) -> None:
    done = call(tmp_path, text, f"{target.address}/ticket")
    assert (done.returncode, done.stderr) == (0, "")
    (message,) = target.inbox.after(0)
    assert done.stdout == f"opened {message.note}\n"
    assert (message.identity, message.title, message.body["priority"]) == (identity, title, "high")


def test_script_reports_an_error_in_one_line(tmp_path: Path, target: Target) -> None:
    for text, url in (("{}", target.address), (json.dumps(ALERT), f"{target.address}/nobody"), (TEXT, "http://")):
        done = call(tmp_path, text, url)
        assert done.returncode == 1
        assert done.stderr.startswith("no ticket: ")
        assert done.stderr.count("\n") == 1
