"""Runs `courier up` for the demo, as a child process that ends with the demo.

    python -m ops.demo.system SETTINGS_FILE

It is `courier up` with a shorter stop timeout, because Ctrl-C must end the demo within 5 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from redis import RedisError

from common.broker.celery_app import make_app
from common.connection.client import connect
from common.errors import CourierError
from common.ledger import Ledger, Status
from common.registry.entries import published_ids
from common.reports.producer import REJECTED, fetch_producer_reports
from common.settings.load import load_settings
from ops.module_runner import module_command
from ops.standalone import state_dir
from ops.standalone.exec_with_parent import command_line
from ops.standalone.supervisor import exit_status_of
from producer.source import LossReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.demo.setup import Stage

START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 4.0
WORKERS_STOP_LIMIT_S: Final = 2.5
WORKERS: Final = 2
"""`courier up` starts one worker for HTTP, and one for scripts and the manager."""

LOG_END_CHARACTERS: Final = 3_000
OVERLONG: Final = f"{REJECTED}{LossReason.OVERLONG}"
"""The counter of lines above `producer.max_line`, which `lines` does not count."""


class System:
    """The running system: its process and its ledger."""

    def __init__(self, stage: Stage, process: subprocess.Popen[bytes]) -> None:
        self._stage, self._process = stage, process

    def check(self) -> None:
        """Raise CourierError, with the end of its log, if the process has exited."""
        if exit_status_of(self._process) is not None:
            raise CourierError(f"courier up exited with status {self._process.returncode}:\n{log_end(self._stage.log)}")

    def wait_until_ready(self, sleep: Callable[[float], object]) -> None:
        """Wait until integrations are published and workers respond. Raises CourierError after START_LIMIT_S."""
        deadline = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                problem = f"courier up was not ready after {START_LIMIT_S:.0f} s"
                raise CourierError(f"{problem}:\n{log_end(self._stage.log)}")
            sleep(0.1)

    def read(self) -> tuple[int, dict[str, Status]]:
        """Return how many lines the producer has read, and the status of every integration, by id."""
        with connect(self._url()) as client:
            counters = [report.counters for report in fetch_producer_reports(client)]
            statuses = Ledger(client).statuses(published_ids(client))
        lines = sum(counts.get("lines", 0) + counts.get(OVERLONG, 0) for counts in counters)
        return lines, statuses

    def _url(self) -> str:
        return (self._stage.state / state_dir.ADDRESS_FILE).read_text()

    def _is_ready(self) -> bool:
        try:
            url = self._url()
            with connect(url) as client:
                published = len(published_ids(client)) > len(self._stage.integrations)
            return published and len(make_app(url).control.ping(timeout=0.5)) >= WORKERS
        except (OSError, RedisError, CourierError):
            return False


@contextmanager
def running(stage: Stage) -> Iterator[System]:
    """Start the system; stop it at the end of the block, within STOP_LIMIT_S."""
    with stage.log.open("ab") as log:
        process = subprocess.Popen(
            command_line(module_command("ops.demo.system", str(stage.settings))),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield System(stage, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def log_end(log: Path) -> str:
    """Return the last LOG_END_CHARACTERS of the system's log, for error messages."""
    return log.read_text(errors="replace")[-LOG_END_CHARACTERS:]


def _environment() -> dict[str, str]:
    """Return this environment without COURIER_ variables, and with proxies disabled for the target."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), ours.get("PATH", os.defpath)])
    return ours | {"NO_PROXY": "*", "no_proxy": "*", "PATH": path, "PYTHONUNBUFFERED": "1"}


def main(settings_file: Path) -> None:
    """Run `courier up` in this process until a signal stops it."""
    from common.logs import configure_logging  # noqa: PLC0415 — only here
    from ops.cli.main import main as courier  # noqa: PLC0415 — as above
    from ops.standalone.up import run  # noqa: PLC0415 — redis is slow to import

    settings = load_settings(file=settings_file, environment=os.environ, cwd=Path.cwd())
    configure_logging(settings.log.level, settings.log.format)
    run(settings, courier, settings_file=settings_file, http_workers=1, stop_limit_s=WORKERS_STOP_LIMIT_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
