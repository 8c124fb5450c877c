"""A path without permission is never treated as missing. These tests run commands as an ordinary user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.ordinary_user import courier, folder_with_closed_ones, run_as_ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONF = "<ossec_config><integration><name>custom-a</name></integration></ossec_config>"


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_with_closed_ones() as made:
        (made / "ossec.conf").write_text(CONF)
        closed = made / "closed"
        closed.mkdir()
        for name in ("courier.toml", "redis.url", "custom-a", "alerts.json", "secret.key"):
            (closed / name).write_text("")
        closed.chmod(0o000)
        yield made


@pytest.mark.parametrize("command", ["check", "config", "status", "producer"])
def test_settings_in_an_unreadable_working_directory(folder: Path, command: str) -> None:
    """The working directory of the image may be accessible only to root."""
    script = (
        "import os, runpy, sys\n"
        f"sys.argv = ['courier', {command!r}]\n"
        f"os.getcwd = lambda: {str(folder / 'closed')!r}\n"  # as after dropping root
        "runpy.run_module('ops.cli.main', run_name='__main__')\n"
    )
    done = run_as_ordinary_user("-c", script, cwd=folder)
    assert done.returncode == 78
    assert f"{folder}/closed/courier.toml: cannot check whether it exists: Permission denied" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("chosen", "words"),
    [("closed/courier.toml", "cannot be read: Permission denied"), ("none/courier.toml", "cannot be read: No such")],
)
def test_a_chosen_settings_file(folder: Path, chosen: str, words: str) -> None:
    done = courier("config", cwd=folder, COURIER_SETTINGS=chosen)
    assert (done.returncode, words in done.stderr) == (78, True), done.stderr


def test_settings_file_that_is_a_folder(folder: Path) -> None:
    (folder / "mine").mkdir()
    done = courier("--settings", "mine", "config", cwd=folder)
    assert (done.returncode, done.stderr) == (78, "courier: mine: is a folder; name the file in it\n")


def test_script_in_an_unreadable_folder(folder: Path) -> None:
    (folder / "line").write_text('{"rule": {"level": 3}}')
    environment = {"COURIER_WORKER_WAZUH_HOME": str(folder), "COURIER_WORKER_INTEGRATIONS_DIR": "closed"}
    arguments = ("render", "--config", "ossec.conf", "--integration", "custom-a", "--alert", "line")
    done = courier(*arguments, cwd=folder, **environment)
    assert f"{folder}/closed/custom-a cannot be checked: Permission denied" in done.stdout + done.stderr


def test_home_in_an_unreadable_folder(folder: Path) -> None:
    (folder / "line").write_text('{"rule": {"level": 3}}')
    arguments = ("render", "--config", "ossec.conf", "--integration", "custom-a", "--alert", "line")
    done = courier(*arguments, cwd=folder, COURIER_WORKER_WAZUH_HOME=str(folder / "closed/home"))
    assert f"{folder}/closed/home cannot be checked: Permission denied" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_address_of_courier_up_in_an_unreadable_folder(folder: Path) -> None:
    done = courier("status", "--state", "closed", cwd=folder)
    assert done.returncode == 78
    assert f"{folder}/closed/redis.url: cannot be read: Permission denied" in done.stderr


def test_secret_key_in_an_unreadable_folder(folder: Path) -> None:
    call = f"load_cipher(None, Path({str(folder / 'closed')!r}))"
    script = f"from pathlib import Path\nfrom common.registry.encryption import load_cipher\n{call}"
    assert "SettingsError" in (done := run_as_ordinary_user("-c", script, cwd=folder)).stderr
    assert "secret.key: Permission denied for user" in done.stderr
    assert "name a writable state directory" in done.stderr


def test_alert_log_in_an_unreadable_folder(folder: Path) -> None:
    script = (
        "import logging\nfrom pathlib import Path\nfrom producer.alertlog import AlertLog\nlogging.basicConfig()\n"
        f"log = AlertLog(Path({str(folder / 'closed/alerts.json')!r}), max_line_bytes=65536)\n"
        "log.read(log.end(), 65536)"
    )
    done = run_as_ordinary_user("-c", script, cwd=folder)
    assert "cannot be read (Permission denied); waiting for it; check its permissions" in done.stderr


def test_dated_files_that_can_be_listed_but_not_read(folder: Path) -> None:
    """Their alerts are not skipped without a log message."""
    month = folder / "2026/Jan"
    month.mkdir(parents=True)
    line = '{{"timestamp":"2026-01-{day}T08:00:00.000+0000","rule":{{"level":3}}}}\n'
    (month / "ossec-alerts-30.json").write_text(line.format(day=30))
    feb = folder / "2026/Feb"
    feb.mkdir()
    (feb / "ossec-alerts-01.json").write_text(line.format(day=31))
    (folder / "alerts.json").write_text(line.format(day="31"))
    feb.chmod(0o644)
    script = (
        "from pathlib import Path\nfrom producer.alertlog import AlertLog\n"
        f"log = AlertLog(Path({str(folder / 'alerts.json')!r}), max_line_bytes=65536)\n"
        "cursor = log.beginning()\n"
        "for _ in range(4):\n"
        "    batch = log.read(cursor, 65536)\n    cursor = batch.cursor\n"
        "    print(*(skipped.detail for skipped in batch.skipped), sep='\\n')\n"
    )
    out = run_as_ordinary_user("-c", script, cwd=folder).stdout
    assert "2026/Feb/ossec-alerts-01.json: all of it cannot be read (Permission denied) and was skipped" in out
