"""Builds what a release publishes and checks it: `python -m ops.release.build`, into `dist/`.

The source archive, the wheel (made from the archive) and, if a container engine answers, the image. Each is installed
into an empty environment, with the locked packages and nothing else, and must name this version and commit and check
the demo's ossec.conf. Exits with 1, and says why, if there are uncommitted changes or if a check fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

from common.errors import CourierError
from common.version import full_version, version

DIST: Final = Path("dist")
LOCK: Final = Path("requirements-run.lock")
SAMPLE: Final = Path("ops/demo/sample")
IMAGE: Final = "courier"


def main() -> int:
    """Build and check everything. Return the exit status."""
    try:
        refuse_changes()
        for archive in build(DIST):
            check(archive)
            print(f"{archive}: installs, and is {full_version()}")
        print(build_image())
    except CourierError as error:
        print(f"not released: {error}", file=sys.stderr)
        return 1
    return 0


def refuse_changes() -> None:
    """Raise CourierError if a file differs from the commit that the release is to name."""
    if changes := _run("git", "status", "--porcelain"):
        raise CourierError(f"there are uncommitted changes; commit them first:\n{changes}")


def build(folder: Path) -> list[Path]:
    """Build the source archive and from it the wheel, in place of those in `folder`. Return wheel and archive."""
    for old in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
        old.unlink()
    # The tools of this environment, which the lock gives: nothing is downloaded.
    _run("uv", "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(folder), ".")
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    if (found := top_level(wheel)) != {"courier"}:
        raise CourierError(f"{wheel}: installs {', '.join(sorted(found))}; expected only courier (setup.py)")
    return [wheel, source]


def check(archive: Path) -> None:
    """Install a wheel or a source archive into an empty environment and use it. Raises CourierError if that fails."""
    with TemporaryDirectory() as name:
        environment = install(archive, Path(name) / "environment")
        _must_be(_run(str(environment / "bin/courier"), "--version", cwd=name))
        sample = ("--config", str(SAMPLE.absolute() / "ossec.conf"), "--alerts", str(SAMPLE.absolute() / "alerts.json"))
        # This machine may have a manager, which does not have the sample's script.
        _run(str(environment / "bin/courier"), "check", *sample, cwd=name, COURIER_WORKER_WAZUH_HOME=f"{name}/none")


def top_level(wheel: Path) -> set[str]:
    """Return the names that a wheel puts beside other packages, except the one with its own description."""
    names = {name.partition("/")[0] for name in ZipFile(wheel).namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def install(archive: Path, environment: Path) -> Path:
    """Create an environment with the locked packages and the archive. Return its folder."""
    python = str(environment / "bin/python")
    _run("uv", "venv", "--quiet", "--python", sys.executable, str(environment))
    _run("uv", "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(LOCK))
    pip = ("uv", "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation")
    _run(*pip, str(archive))
    return environment


def build_image() -> str:
    """Build and check the image if a container engine answers. Return a sentence about it."""
    try:
        _run("docker", "info")
    except (CourierError, FileNotFoundError):
        return "!!! NOT BUILT: the image. No container engine answers here."
    name = f"{IMAGE}:{version()}"
    revision = _run("git", "rev-parse", "HEAD").strip()
    _run("docker", "compose", "build", "init", COURIER_REVISION=revision, COURIER_IMAGE=name)
    _must_be(_run("docker", "run", "--rm", name, "--version"))
    labels = json.loads(_run("docker", "image", "inspect", "--format", "{{json .Config.Labels}}", name))
    found = labels["org.opencontainers.image.version"], labels["org.opencontainers.image.revision"]
    if found != (version(), revision):
        raise CourierError(f"{name}: its labels are {found}")
    return f"{name}: runs, and is {full_version()}"


def _must_be(said: str) -> None:
    if said.strip() != f"courier {full_version()}":
        raise CourierError(f"it calls itself {said.strip()}; expected courier {full_version()}")


def _run(*command: str, cwd: str | None = None, **environment: str) -> str:
    """Run a command, such as one of this environment, and return what it printed. Raises CourierError if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    ours = os.environ | {"PATH": path} | environment
    done = subprocess.run(command, cwd=cwd, env=ours, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CourierError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
