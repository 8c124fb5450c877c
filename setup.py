"""How wheel and source archive are made; pyproject.toml has everything else.

The wheel has one top-level package, `courier`. The four folders are inside it, and ops/launcher puts them on the module
path (decision 10). An editable install leaves the folders where they are. Both bring the commit along, as a file.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

LAUNCHER = "ops/launcher"
FOLDERS = find_namespace_packages(
    include=["common*", "ops*", "producer*", "workers*"],
    exclude=["ops.docs*", "ops.launcher*", "ops.new_service*", "*.__pycache__*"],
)
COMMIT_FILE = "common/commit.txt"
SHORT = 7
"""Characters of an abbreviated commit, as git's default."""


def commit() -> str:
    """Return the abbreviated commit from the build's environment, a source archive or git; empty if none knows it."""
    given = os.environ.get("COURIER_REVISION", "unknown")
    if given != "unknown":
        return given[:SHORT]
    if Path(COMMIT_FILE).exists():
        return Path(COMMIT_FILE).read_text("ascii").strip()
    if not Path(".git").exists() or not shutil.which("git"):
        return ""
    command = ["git", "rev-parse", f"--short={SHORT}", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def write_commit(file: Path) -> None:
    """Write the commit, if it is known."""
    if found := commit():
        file.write_text(f"{found}\n", "ascii")


class BuildPy(build_py):
    """Builds from scratch: setuptools would pack whatever an earlier build has left, also under the former names."""

    def run(self) -> None:
        """Copy the code, and add the commit."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        write_commit(Path(self.build_lib, "courier", COMMIT_FILE))


class Sdist(sdist):
    """Adds the commit."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the files, and add the commit."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir, COMMIT_FILE))


if "editable_wheel" in sys.argv:
    packages = {"courier": LAUNCHER} | {name: name.replace(".", "/") for name in FOLDERS}
else:
    packages = {"courier": LAUNCHER} | {f"courier.{name}": name.replace(".", "/") for name in FOLDERS}

setup(packages=[*packages], package_dir=packages, cmdclass={"build_py": BuildPy, "sdist": Sdist})
