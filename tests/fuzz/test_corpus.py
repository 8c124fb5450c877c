"""Runs every input of the corpus: what fuzzing once found, and its starting points."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.doors import DOORS, MAX_CPU_S

INPUTS = sorted((Path(__file__).parent / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_corpus_input_raises_only_declared_errors(path: Path) -> None:
    DOORS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_corpus_input_is_handled_quickly(path: Path) -> None:
    costs = []
    for _ in range(3):
        began = time.thread_time()
        DOORS[path.parent.name](path.read_bytes())
        costs.append(time.thread_time() - began)
    assert min(costs) < MAX_CPU_S


def test_every_fuzz_function_has_a_corpus() -> None:
    assert {path.parent.name for path in INPUTS} == set(DOORS)


@pytest.mark.slow  # it instruments all that is imported
@pytest.mark.skipif(not find_spec("atheris"), reason="atheris has no wheel for this platform")
def test_a_finding_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text(
        "from tests.fuzz import one\n"
        "def fails(data):\n    assert not data.startswith(b'!')\n"
        f"one.CORPUS = one.Path({str(tmp_path)!r}); (one.CORPUS / 'sregex').mkdir()\n"
        "one.DOORS = {'sregex': fails}\n"
        f"one.main('sregex', '60', {str(tmp_path)!r})\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env={"PYTHONPATH": "."})
    assert run.returncode != 0
    assert list((tmp_path / "sregex").glob("crash-*"))
