"""`courier history` after real deliveries: one that succeeds, one that is refused and then discarded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes import Courier, Manager
from tests.support.recorder import Recorder, eventually

if TYPE_CHECKING:
    from pathlib import Path


def command(manager: Manager, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ops.cli.main", *arguments, "--state", str(manager.state)]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}


def history(manager: Manager, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        command(manager, "history", *arguments), env=environment(), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_history_says_what_became_of_each_alert(tmp_path: Path) -> None:
    def status(body: bytes) -> int:
        return 400 if b"1769846400.1" in body else 200

    with Recorder(status) as target:
        manager = Manager(tmp_path, target)
        with Courier(tmp_path, "up", *manager.files(), "--flower-port", "0") as up:
            eventually(lambda: "new integration; reading starts" in up.log)
            with (tmp_path / "followed").open("wb") as stdout:
                follower = subprocess.Popen(
                    command(manager, "history", "slack", "--follow"), env=environment(), stdout=stdout
                )
            try:
                manager.append(3)
                eventually(lambda: len(history(manager, "slack")) == 3)
                found = {one["alert_id"]: one for one in history(manager, "slack")}
                assert set(found) == manager.ids
                assert {found[one]["outcome"] for one in ("1769846400.0", "1769846400.2")} == {"delivered"}
                dead = found["1769846400.1"]
                assert (dead["outcome"], dead["reason"], dead["attempts"]) == ("dead", "http_4xx", 1)
                assert dead["rule"] == {"id": "5712", "level": 10, "description": "sshd: brute force"}
                assert dead["agent"] == {"id": "001", "name": "web01"}
                assert "@" in dead["worker"]
                assert dead["committed_ms"] <= dead["first_attempt_ms"] <= dead["ended_ms"]
                assert 0 <= dead["attempt_ms"] <= dead["ended_ms"] - dead["first_attempt_ms"] + 1000
                subprocess.run(command(manager, "dead", "discard", "--yes"), env=environment(), check=True)
                both = history(manager, "--alert", "1769846400.1")
                assert [(one["outcome"], one["reason"]) for one in both] == [("dead", "http_4xx"), ("discarded", "")]
                assert both[1]["rule"] == dead["rule"]
                eventually(lambda: (tmp_path / "followed").read_bytes().count(b"discarded"))
            finally:
                follower.terminate()
                follower.wait()
            (top,) = history(manager, "--top", "reasons")
            assert (top["id"], top["count"]) == ("http_4xx", 1)
