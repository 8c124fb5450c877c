"""Tests that the image matches the project, and that the compose files match one another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from ops.deploy.bytecode import imported_files

ROOT = Path(__file__).parents[3]
ROOMS = ("common", "ops", "producer", "workers")
UNPACKED = ("docs", "new_service")


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE))


def test_image_has_exactly_the_tested_versions() -> None:
    ours, all_of_them = pins("requirements-run.lock"), pins("requirements.lock")
    assert ours.items() < all_of_them.items(), "make lock"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    missing = {re.split(r"[^\w.-]", one)[0] for one in wanted} - set(ours)
    assert not missing, "make lock"
    assert not {"pytest", "mypy", "ruff", "uv"} & set(ours)


def test_wheel_has_all_code_and_installable_files(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", ".*", *UNPACKED))
    there = {str(one.relative_to(tmp_path)) for room in ROOMS for one in (tmp_path / room).rglob("*") if one.is_file()}
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=True)
    built = zipfile.ZipFile(tmp_path / done.stdout.split()[-1]).namelist()
    assert {f"courier/{file}" for file in there} - set(built) == {
        "courier/ops/launcher/__init__.py",  # which are the files of `courier` itself
        "courier/ops/launcher/__main__.py",
    }
    assert {file.partition("/")[0].partition("-")[0] for file in built} == {"courier", "courier_integrator"}


def test_build_needs_no_external_frontend() -> None:
    assert not (ROOT / "Dockerfile").read_text().startswith("# syntax")


def test_compose_files_use_the_dockerfiles_build_time() -> None:
    (epoch,) = re.findall(r"^ARG SOURCE_DATE_EPOCH=(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for file, service in (("compose.yaml", "init"), ("compose.workers.yaml", "worker-http")):
        found = yaml.safe_load((ROOT / file).read_text())["services"][service]["build"]
        assert found["args"]["SOURCE_DATE_EPOCH"] == int(epoch)


def test_image_compiles_what_courier_imports() -> None:
    files = imported_files()
    for part in ("workers/worker.py", "producer/loop.py", "ops/admin/health.py", "ops/monitoring/flower/server.py"):
        assert str(ROOT / part) in files
    assert any(file.endswith("kombu/transport/redis.py") for file in files)
    assert any(file.endswith("/json/decoder.py") for file in files), "Python's own"


def test_redis_with_tls_has_the_same_configuration() -> None:
    def options(file: str) -> list[str]:
        return re.findall(
            r"^      - (--.+)$",
            (ROOT / file).read_text().partition("\n  redis:\n")[2].partition("networks:")[0],
            re.MULTILINE,
        )

    plain, tls = options("compose.yaml"), options("compose.tls.yaml")
    assert plain
    assert tls[: len(plain)] == plain
    assert all(one.startswith("--tls-") for one in tls[len(plain) :])


@pytest.mark.parametrize("file", ["compose.yaml", "compose.workers.yaml", "compose.tls.yaml"])
def test_compose_files_hold_no_password(file: str) -> None:
    text = (ROOT / file).read_text()
    assert not re.search(r"(PASSWORD|AUTH|KEY)\w*: (?!/run/courier/)", text)
