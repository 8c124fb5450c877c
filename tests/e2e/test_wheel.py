"""The wheel and the source archive in empty environments, beside a package with the same module names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import CourierError
from common.version import full_version
from ops.release.build import build, check, install, top_level
from tests.support.processes import UNLIMITED, Manager
from tests.support.recorder import Recorder, eventually
from tests.support.wheels import wheel_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RAISES = "raise SystemExit('not the module that Courier means')\n"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build(tmp_path_factory.mktemp("dist"))


def test_both_archives_work_in_an_empty_environment(archives: list[Path]) -> None:
    for archive in archives:
        check(archive)


def test_a_wheel_with_another_version_is_refused(archives: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.release.build.full_version", lambda: "9.9.9 (abc1234)")
    with pytest.raises(CourierError, match=r"calls itself courier .* expected courier 9\.9\.9"):
        check(archives[0])


def test_the_wheel_delivers_beside_foreign_packages_of_the_same_names(
    archives: list[Path], tmp_path: Path, manager: Manager, target: Recorder
) -> None:
    wheel, _ = archives
    assert top_level(wheel) == {"courier"}
    environment = install(wheel, tmp_path / "environment")
    names = ("common", "ops", "producer", "workers")
    foreign = wheel_of(tmp_path, "foreign", "1", {f"{name}/__init__.py": RAISES for name in names})
    pip = (str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps")
    subprocess.run([*pip, "--python", str(environment / "bin/python"), str(foreign)], check=True)
    hostile = tmp_path / "cwd"
    hostile.mkdir()
    for name in ("common", "ops", "celery", "redis"):  # what `python -m` would import first
        (hostile / f"{name}.py").write_text(RAISES)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COURIER_")} | UNLIMITED

    def courier(*arguments: str) -> list[str]:
        return [str(environment / "bin/courier"), *arguments]

    version = subprocess.run(courier("--version"), cwd=hostile, env=ours, capture_output=True, text=True, check=True)
    assert version.stdout == f"courier {full_version()}\n"
    with (tmp_path / "up.log").open("wb") as log:
        up = courier("up", *manager.files(), "--flower-port", "0")
        process = subprocess.Popen(up, cwd=hostile, env=ours, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(lambda: "new integration; reading starts" in (tmp_path / "up.log").read_text(), limit_s=60)
        manager.append(1)
        eventually(lambda: set(target.ids) == manager.ids, limit_s=60)
        status = courier("status", "--state", str(manager.state))
        shown = subprocess.run(status, cwd=hostile, env=ours, capture_output=True, text=True, check=True).stdout
        assert "\nslack\t" in shown
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    log_text = (tmp_path / "up.log").read_text()
    assert "worker started" in log_text
    assert "restarting" not in log_text, log_text
