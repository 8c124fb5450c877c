"""Tests of the units: systemd accepts them, and they match the settings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ops
from common.integration import MANAGER_ID, Integration
from common.settings.load import load_settings
from common.settings.sources import FIXED
from ops.cli.main import COMMANDS, EX_CONFIG
from ops.standalone.up import STOP_LIMIT_S
from tests.support.tools import needs, run
from workers.transports.script.process_groups import GRACE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(ops.__file__).parent / "deploy/systemd"
COURIER = "/opt/courier/bin/courier"
INSTANCES = ("http", "scripts", "manager")
UNITS = (
    "courier-producer.service",
    "courier-flower.service",
    "courier-console.service",
    "courier-exporter.service",
    *(f"courier-worker@{instance}.service" for instance in INSTANCES),
)
UP = "courier-up.service"
"""The unit of `courier up`; it has its own Redis and needs no credentials."""

MOST_EXPOSED = 2.5


def lines(unit: str) -> Iterator[tuple[str, str]]:
    yield from settings_of(FOLDER / re.sub("@.*", "@.service", unit))


def drop_ins(unit: str) -> Iterator[tuple[str, str]]:
    for file in (FOLDER / f"{unit}.d").glob("*.conf"):
        yield from settings_of(file)


def settings_of(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield name, value


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as installed in a folder of systemd, with a command that exists on this machine."""
    for source in FOLDER.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(FOLDER)
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text().replace(COURIER, sys.executable))
    return tmp_path


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", [*UNITS, UP])
def test_systemd_accepts_the_unit(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "verify", installed / unit)
    assert (done.returncode, done.stdout) == (0, "")


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", [*UNITS, UP])
def test_unit_exposure_is_low(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", installed / unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < MOST_EXPOSED


@pytest.mark.parametrize("unit", [*UNITS, UP])
def test_units_start_existing_commands_and_stop_on_78(unit: str) -> None:
    entries = dict(lines(unit))
    command, *arguments = entries["ExecStart"].split()
    assert command == COURIER
    assert arguments[0] in COMMANDS
    assert (entries["Type"], entries["Restart"]) == ("exec", "on-failure")
    assert int(entries["RestartPreventExitStatus"]) == EX_CONFIG


@pytest.mark.parametrize("unit", UNITS)
def test_every_secret_is_a_credential_of_an_existing_setting(unit: str) -> None:
    credentials = {value.partition(":")[0] for name, value in lines(unit) if name == "LoadCredential"}
    variables = [value.partition("=") for name, value in lines(unit) if name == "Environment"]
    files = {variable.removesuffix("_FILE"): value for variable, _, value in variables if value.startswith("%d/")}
    assert set(files) <= {key.variable for key in FIXED.values()}
    assert {value.removeprefix("%d/") for value in files.values()} == credentials
    assert "redis-password" in credentials


@pytest.mark.parametrize("instance", INSTANCES)
def test_worker_can_drain_before_it_is_killed(instance: str) -> None:
    unit = f"courier-worker@{instance}.service"
    entries = [*lines(unit), *drop_ins(unit)]
    environment = dict(value.split("=", 1) for _, value in entries if value.startswith("COURIER_WORKER_DRAIN_TIMEOUT="))
    settings = load_settings(file=None, environment=environment, cwd=Path("/nonexistent"))
    served = {"http": "slack", "scripts": "custom-x", "manager": MANAGER_ID}[instance]
    policy = settings.policy(Integration(id=served, name=served))
    longest_s = policy.script_timeout_s if instance == "scripts" else policy.request_timeout_s
    assert longest_s < settings.worker.drain_timeout_s < int(dict(entries)["TimeoutStopSec"]) - GRACE_S


def test_scripts_run_as_the_managers_user_and_may_write() -> None:
    entries = list(drop_ins("courier-worker@scripts.service"))
    assert dict(entries)["User"] == dict(entries)["Group"] == "wazuh"
    assert ("SupplementaryGroups", "courier") in entries  # to read /etc/courier
    (_, reset), (_, own) = [one for one in entries if one[0] == "StateDirectory"]
    assert (reset, own) == ("", "courier-scripts")  # systemd would give the others' folder to this user
    assert ("Environment", f"COURIER_STATE_DIR=/var/lib/{own}") in entries
    assert "-/var/ossec/logs" in dict(entries)["ReadWritePaths"].split()
    assert all(dict([*lines(unit), *drop_ins(unit)])["User"] == "courier" for unit in UNITS if "@scripts" not in unit)


def test_scripts_have_a_process_limit() -> None:
    assert int(dict(drop_ins("courier-worker@scripts.service"))["TasksMax"]) == 1024  # as pids_limit of compose.yaml
    assert all(int(dict(lines(unit))["TasksMax"]) == 4096 for unit in (UP, "courier-worker@http.service"))


def test_state_directory_matches_the_settings() -> None:
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    for unit in (*UNITS, UP):
        assert str(settings.state.dir) == f"/var/lib/{dict(lines(unit))['StateDirectory']}"


def test_up_can_stop_its_workers_before_it_is_killed() -> None:
    entries = dict(lines(UP))
    assert int(entries["TimeoutStopSec"]) > 2 * STOP_LIMIT_S
    assert not [name for name, _ in lines(UP) if name == "LoadCredential"]
    assert (entries["User"], entries["Group"]) == ("wazuh", "wazuh")
