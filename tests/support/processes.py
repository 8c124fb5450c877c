"""Runs `courier` as a separate process and keeps its stderr for assertions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from tests.support.recorder import patience

if TYPE_CHECKING:
    from types import TracebackType

STOP_LIMIT_S = 20.0
UNLIMITED = {"COURIER_INTEGRATIONS_DEFAULT_RATE_LIMITS": "none"}
"""Removes the default rate limits: test targets accept more than one message a second."""
ANY_CONSOLE_PORT = {"COURIER_CONSOLE_PORT": "0"}
"""Tests run at the same time, and `courier up` finds the default port free before its console uses it."""


def alert(number: int, level: int = 10) -> bytes:
    """Return a complete line of the alert log."""
    fields = {
        "timestamp": "2026-01-31T08:00:00.000+0000",
        "rule": {"level": level, "id": "5712", "description": "sshd: brute force", "groups": ["sshd"]},
        "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
        "manager": {"name": "wazuh"},
        "id": f"1769846400.{number}",
        "full_log": "Invalid user x",
        "location": "/var/log/secure",
    }
    return json.dumps(fields).encode() + b"\n"


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Courier:
    """One `courier` process; a context manager that stops it with SIGTERM."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._log = folder / f"{arguments[0]}.log"
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
        ours |= UNLIMITED | ANY_CONSOLE_PORT
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli.main", *arguments],
                env=ours | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # as for a service: without the terminal of the tests
            )

    @property
    def log(self) -> str:
        """Its stderr so far."""
        return self._log.read_text()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Stop the process and return its exit status. Kill it and fail if it runs for more than STOP_LIMIT_S."""
        self.process.send_signal(signum)
        try:
            return self.process.wait(STOP_LIMIT_S * patience())
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still there {STOP_LIMIT_S} s after signal {signum}:\n{self.log}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()


class HasUrl(Protocol):
    """A target in this process or another one."""

    @property
    def url(self) -> str:
        """The URL for requests."""


class Manager:
    """A manager's files in a folder: ossec.conf with one Slack block for the target, and alerts.json."""

    def __init__(self, folder: Path, target: HasUrl) -> None:
        self.folder = folder
        self.config, self.alerts, self.state = folder / "ossec.conf", folder / "alerts.json", folder / "state"
        self.config.write_text(
            f"<ossec_config><integration><name>slack</name><hook_url>{target.url}</hook_url>"
            "<alert_format>json</alert_format></integration></ossec_config>"
        )
        self.alerts.touch()
        self.written = 0

    def append(self, count: int) -> None:
        """Write `count` new alerts."""
        with self.alerts.open("ab") as log:
            log.writelines(alert(n) for n in range(self.written, self.written + count))
        self.written += count

    @property
    def ids(self) -> set[str]:
        """The ids of all written alerts."""
        return {f"1769846400.{n}" for n in range(self.written)}

    def files(self) -> tuple[str, ...]:
        """Return the options that name the files."""
        return ("--config", str(self.config), "--alerts", str(self.alerts), "--state", str(self.state))
