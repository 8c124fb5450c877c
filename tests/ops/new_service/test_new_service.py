"""`make new-service`: what it writes is complete, passes its tests and the linters, and is refused for a bad name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.errors import CourierError
from ops.new_service.__main__ import main, written

ROOT = Path(__file__).parents[3]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "build", "dist", "artifacts")
TESTED = (
    *("tests/workers/integrations/test_every_integration.py", "tests/workers/integrations/helpers/test_text_limits.py"),
    *("tests/security/test_markup.py", "tests/workers/integrations/test_registry.py"),
    *("tests/ops/demo/test_every_service.py", "tests/ops/docs/test_blocks.py"),
)
ABOUT_ALL = "every_declared or names_its_markup or section_for_each or integration_with_each or block_to_copy"


def run(folder: Path, *command: str) -> str:
    """Run a Python module in a folder, whose packages are then found first; return its output."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["zulip", "acme-alerts"])
def test_a_new_service_is_complete(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    module = name.replace("-", "_")
    assert f"workers/integrations/{module}.py" in run(copy, "ops.new_service", name)
    run(copy, "ruff", "check", ".")
    run(copy, "ruff", "format", "--check", ".")
    quick = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    own = f"tests/workers/integrations/test_{module}.py"
    assert "passed" in run(copy, "pytest", *quick, own)
    assert "passed" in run(copy, "pytest", *quick, *TESTED, "-k", f"{name} or {ABOUT_ALL}")
    run(
        copy,
        "mypy",
        f"workers/integrations/{module}.py",
        own,
        "ops/demo/notices.py",
        "workers/integrations/registry.py",
    )


@pytest.mark.parametrize(
    "name",
    [
        "Zulip",
        "x",
        "",
        "../x",
        "custom-a-b",
        "a b",
        "slack",
        "splunk-hec",
        "manager",
        "helpers",
        "class",
        "none",
        "custom-x",
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(CourierError, match=r"choose another name|a name has"):
        written(ROOT, name)


def test_an_error_is_one_line_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no checkout
    done = CliRunner().invoke(main, ["zulip"])
    assert done.exit_code == 1
    assert done.stderr.startswith("new-service: ")
    assert list(tmp_path.iterdir()) == []
