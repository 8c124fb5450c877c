from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from ops.release.copy_version import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_file_has_the_version_of_pyproject() -> None:
    assert main(["--check"]) == 0, "run: python -m ops.release.copy_version"


def test_a_new_version_is_copied_and_history_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    files = {
        "compose.yaml": "image: ${COURIER_IMAGE:-courier:0.1.0}\n    VERSION: 0.1.0\n",
        "page.md": "FROM courier:0.1.0\nredis:7.2.4\n",
        "kustomization.yaml": "newTag: 0.1.0\n",
        "CHANGELOG.md": "courier:0.1.0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run([str(shutil.which("git")), *command], cwd=tmp_path, check=True)

    assert main(["--check"], tmp_path) == 1
    assert "compose.yaml: has another version than 1.2.3" in capsys.readouterr().out
    assert (tmp_path / "compose.yaml").read_text() == files["compose.yaml"]
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert (tmp_path / "compose.yaml").read_text() == files["compose.yaml"].replace("0.1.0", "1.2.3")
    assert (tmp_path / "page.md").read_text() == "FROM courier:1.2.3\nredis:7.2.4\n"
    assert (tmp_path / "CHANGELOG.md").read_text() == files["CHANGELOG.md"]
