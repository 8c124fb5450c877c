"""syslog-ng as a peer: it follows the same log, filters by level and posts each alert to the same kind of target.

Like Courier it keeps what it has not sent on disk (a reliable disk buffer) and posts every alert by itself. It looks
at the log every 50 ms; its default, once a second, would be cheaper and a second late. It has no retries by status,
no dead letters and no ledger, so it shows what the plain way costs, not what Courier could.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.bench.process_tree import usage
from ops.bench.system import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = "syslog-ng"
MISSING: Final = "syslog-ng is not installed with its http module: no figures of it"

CONFIG: Final = """@version: current
@include "scl.conf"
options {{ stats-freq(0); log-msg-size(1048576); keep-hostname(yes); use-dns(no); dns-cache(no); }};
source alerts {{ file("{folder}/alerts.json" follow-freq(0.05) flags(no-parse)); }};
parser decoded {{ json-parser(prefix(".json.")); }};
filter level {{ "${{.json.rule.level}}" >= "7" }};
destination target {{ http(
  url("http://127.0.0.1:{port}/hook") method("POST") headers("Content-Type: application/json")
  body('{{"id": "${{.json.id}}", "alert": $(format-json title="${{.json.rule.description}}"
    text="${{.json.full_log}}" agent="${{.json.agent.name}}" level="${{.json.rule.level}}")}}')
  batch-lines(1) workers(1)
  disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(67108864) dir("{folder}"))
); }};
log {{ source(alerts); parser(decoded); filter(level); destination(target); }};
"""


class SyslogNg:
    """A running syslog-ng as a Subject."""

    def __init__(self, target: Target, log: Path, pid: int) -> None:
        self.target, self.log, self._pid = target, log, pid

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of its process."""
        return {"syslog_ng": usage([self._pid]).cpu_s}

    def is_settled(self) -> bool:
        """Return True: it settles nothing after the response."""
        return True


def is_installed() -> bool:
    """Return whether syslog-ng is there and can post over HTTP."""
    program = shutil.which(PROGRAM)
    if program is None:
        return False
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    modules = next((line for line in said.splitlines() if line.startswith("Available-Modules:")), "")
    return "http" in modules.partition(":")[2].strip().split(",")


@contextmanager
def running() -> Iterator[SyslogNg]:
    """Run syslog-ng and a target in a temporary folder (TMPDIR)."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        target = Target(stack)
        log = folder / "alerts.json"
        log.touch()
        (folder / "syslog-ng.conf").write_text(CONFIG.format(folder=folder, port=target.port))
        files = [f"--{what}={folder}/syslog-ng.{what[:4]}" for what in ("persist-file", "pidfile", "control")]
        command = [PROGRAM, "--foreground", "--no-caps", f"--cfgfile={folder}/syslog-ng.conf", *files]
        process = subprocess.Popen(command, cwd=folder)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        yield SyslogNg(target, log, process.pid)
