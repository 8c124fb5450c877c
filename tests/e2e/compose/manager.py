"""A manager's folder as the packages create it: owners, modes, dated logs, a script, and a listener on the queue."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CONFIG = """<ossec_config>
  <integration><name>slack</name><hook_url>http://target:8080/slack/hook</hook_url><level>7</level>
    <alert_format>json</alert_format></integration>
  <integration><name>custom-ticket</name><hook_url>http://target:8080/ticket/new</hook_url><rule_id>5720</rule_id>
    <alert_format>json</alert_format></integration>
  <integration><name>virustotal</name><api_key>a-key-of-the-test</api_key><group>syscheck</group>
    <alert_format>json</alert_format></integration>
</ossec_config>
"""


def alert(number: int, *, rule: str, level: int, groups: list[str], **more: object) -> bytes:
    """Return a line of the alert log, of the usual size."""
    fields = {
        "timestamp": "2026-01-31T08:00:00.000+0000",
        "rule": {"level": level, "id": rule, "description": "sshd: brute force", "groups": groups},
        "agent": {"id": "001", "name": "web01", "ip": "10.0.0.5"},
        "manager": {"name": "wazuh"},
        "id": f"1769846400.{number}",
        "full_log": f"Invalid user x from 203.0.113.7 port {number} " + "y" * 800,
        "location": "/var/log/secure",
        **more,
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


class Manager:
    """A context manager that listens on the queue. `events` are the messages that arrived there."""

    def __init__(self, home: Path, *, uid: int, gid: int, script: Path) -> None:
        self.home, self._uid, self._gid = home, uid, gid
        self.events: list[bytes] = []
        self.written: dict[str, set[str]] = {"slack": set(), "ticket": set(), "virustotal": set()}
        self._number = 0
        for folder in ("etc", "logs/alerts/2026/Jan", "integrations", "framework", "queue/sockets"):
            (home / folder).mkdir(parents=True)
        (home / "etc/ossec.conf").write_text(CONFIG)
        self.log = home / "logs/alerts/2026/Jan/ossec-alerts-31.json"
        self.log.touch()
        (home / "logs/alerts/alerts.json").hardlink_to(self.log)
        (home / "integrations/custom-ticket").write_bytes(script.read_bytes())
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(home / "queue/sockets/queue"))
        self._own()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def brute_force(self, count: int) -> None:
        """Write alerts for Slack."""
        self._write("slack", [alert(n, rule="5712", level=10, groups=["sshd"]) for n in self._numbers(count)])

    def tickets(self, count: int) -> None:
        """Write alerts for the script."""
        self._write("ticket", [alert(n, rule="5720", level=5, groups=["sshd"]) for n in self._numbers(count)])

    def new_file(self, md5: str) -> None:
        """Write an alert for VirusTotal."""
        syscheck = {"path": "/tmp/x", "md5_after": md5, "sha1_after": "0" * 40, "sha256_after": "0" * 64}
        line = alert(*self._numbers(1), rule="554", level=5, groups=["syscheck"], syscheck=syscheck)
        self._append([line])
        self.written["virustotal"].add(md5)

    def _write(self, service: str, lines: list[bytes]) -> None:
        self._append(lines)
        self.written[service] |= {json.loads(line)["id"] for line in lines}

    def _append(self, lines: list[bytes]) -> None:
        with self.log.open("ab") as log:
            log.writelines(lines)

    def _numbers(self, count: int) -> range:
        first, self._number = self._number, self._number + count
        return range(first, self._number)

    def _own(self) -> None:
        """Set the owners and modes of a real manager (spec, section 2)."""
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, 0 if "integrations" in path.parts or path.name == "ossec.conf" else self._uid, self._gid)
            path.chmod(0o750 if path.is_dir() or path.parent.name == "integrations" else 0o660)

    def _listen(self) -> None:
        while data := self._socket.recv(65_536):
            self.events.append(data)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join(timeout=5)
        self._socket.close()
