"""The units: what systemd says of them, and that they agree with the settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ops
from common.settings import load_settings
from common.settings_sources import FIXED
from ops.cli.main import COMMANDS, EX_CONFIG
from tests.support.tools import needs, run

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(ops.__file__).parent / "systemd"
COURIER = "/opt/courier/bin/courier"
INSTANCES = ("http", "scripts", "manager")
UNITS = (
    "courier-producer.service",
    "courier-flower.service",
    "courier-exporter.service",
    *(f"courier-worker@{instance}.service" for instance in INSTANCES),
)
MOST_EXPOSED = 2.5


def lines(unit: str) -> Iterator[tuple[str, str]]:
    text = (FOLDER / re.sub("@.*", "@.service", unit)).read_text()
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they lie in a folder of systemd's, with a command that exists on this machine."""
    for source in FOLDER.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(FOLDER)
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text().replace(COURIER, sys.executable))
    return tmp_path


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_no_complaint(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "verify", installed / unit)
    assert (done.returncode, done.stdout) == (0, "")


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", UNITS)
def test_little_is_exposed(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", installed / unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS)
def test_they_start_what_there_is_and_do_not_repeat_what_a_restart_cannot_mend(unit: str) -> None:
    told = dict(lines(unit))
    command, *arguments = told["ExecStart"].split()
    assert command == COURIER
    assert arguments[0] in COMMANDS
    assert (told["Type"], told["Restart"]) == ("exec", "on-failure")
    assert int(told["RestartPreventExitStatus"]) == EX_CONFIG


@pytest.mark.parametrize("unit", UNITS)
def test_every_secret_is_a_credential_for_a_setting_that_exists(unit: str) -> None:
    credentials = {value.partition(":")[0] for name, value in lines(unit) if name == "LoadCredential"}
    variables = [value.partition("=") for name, value in lines(unit) if name == "Environment"]
    files = {variable.removesuffix("_FILE"): value for variable, _, value in variables if value.startswith("%d/")}
    assert set(files) <= {key.variable for key in FIXED.values()}
    assert {value.removeprefix("%d/") for value in files.values()} == credentials
    assert "redis-password" in credentials


def test_a_worker_may_finish_before_it_is_killed() -> None:
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    assert int(dict(lines("courier-worker@http.service"))["TimeoutStopSec"]) > settings.worker.drain_s


def test_the_state_is_where_the_settings_say() -> None:
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    for unit in UNITS:
        assert str(settings.state.dir) == f"/var/lib/{dict(lines(unit))['StateDirectory']}"
