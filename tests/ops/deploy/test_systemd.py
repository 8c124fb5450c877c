"""The units: what systemd says of them, and that they agree with the settings."""

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
    "courier-exporter.service",
    *(f"courier-worker@{instance}.service" for instance in INSTANCES),
)
UP = "courier-up.service"
"""All of them in one, with a server of its own: it needs no credentials."""

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
    """The units as they lie in a folder of systemd's, with a command that exists on this machine."""
    for source in FOLDER.rglob("*"):
        if source.is_file():
            target = tmp_path / source.relative_to(FOLDER)
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text().replace(COURIER, sys.executable))
    return tmp_path


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", [*UNITS, UP])
def test_systemd_has_no_complaint(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "verify", installed / unit)
    assert (done.returncode, done.stdout) == (0, "")


@needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("unit", [*UNITS, UP])
def test_little_is_exposed(installed: Path, unit: str) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", installed / unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < MOST_EXPOSED


@pytest.mark.parametrize("unit", [*UNITS, UP])
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


@pytest.mark.parametrize("instance", INSTANCES)
def test_a_worker_may_finish_before_it_is_killed(instance: str) -> None:
    unit = f"courier-worker@{instance}.service"
    told = [*lines(unit), *drop_ins(unit)]
    environment = dict(value.split("=", 1) for _, value in told if value.startswith("COURIER_WORKER_DRAIN_TIMEOUT="))
    settings = load_settings(file=None, environment=environment, cwd=Path("/nonexistent"))
    served = {"http": "slack", "scripts": "custom-x", "manager": MANAGER_ID}[instance]
    policy = settings.policy(Integration(id=served, name=served))
    longest_s = policy.script_timeout_s if instance == "scripts" else policy.request_timeout_s
    assert longest_s < settings.worker.drain_timeout_s < int(dict(told)["TimeoutStopSec"]) - GRACE_S


def test_scripts_run_as_the_manager_s_own_user_with_what_is_theirs_to_write() -> None:
    told = list(drop_ins("courier-worker@scripts.service"))
    assert dict(told)["User"] == dict(told)["Group"] == "wazuh"
    assert ("SupplementaryGroups", "courier") in told  # to read /etc/courier
    (_, reset), (_, own) = [one for one in told if one[0] == "StateDirectory"]
    assert (reset, own) == ("", "courier-scripts")  # systemd would give the others' folder to this user
    assert ("Environment", f"COURIER_STATE_DIR=/var/lib/{own}") in told
    assert "-/var/ossec/logs" in dict(told)["ReadWritePaths"].split()
    assert all(dict([*lines(unit), *drop_ins(unit)])["User"] == "courier" for unit in UNITS if "@scripts" not in unit)


def test_a_script_that_starts_processes_without_end_meets_a_limit() -> None:
    assert int(dict(drop_ins("courier-worker@scripts.service"))["TasksMax"]) == 1024  # as pids_limit of compose.yaml
    assert all(int(dict(lines(unit))["TasksMax"]) == 4096 for unit in (UP, "courier-worker@http.service"))


def test_the_state_is_where_the_settings_say() -> None:
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    for unit in (*UNITS, UP):
        assert str(settings.state.dir) == f"/var/lib/{dict(lines(unit))['StateDirectory']}"


def test_up_may_stop_its_workers_before_it_is_killed() -> None:
    told = dict(lines(UP))
    assert int(told["TimeoutStopSec"]) > 2 * STOP_LIMIT_S
    assert not [name for name, _ in lines(UP) if name == "LoadCredential"]
    assert (told["User"], told["Group"]) == ("wazuh", "wazuh")
