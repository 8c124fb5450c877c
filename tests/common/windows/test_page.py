"""The examples of the page on windows are valid settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.windows import hold_problem
from tests.common.settings.test_load import load

PAGE = (Path(__file__).parents[3] / "ops/docs/windows.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_can_be_read(tmp_path: Path, block: str) -> None:
    settings = load(tmp_path, block)
    holds = [one.hold for one in settings.definitions.values() if one.hold]
    assert settings.windows
    assert [hold_problem(one, settings.windows) for one in holds] == [""] * len(holds)


def test_the_page_has_a_window_of_several_spans_and_both_holds(tmp_path: Path) -> None:
    holds, spans = (load(tmp_path, block) for block in BLOCKS)
    assert [one.hold.outside for one in holds.definitions.values() if one.hold] == [False, True]
    assert len(spans.windows["support"].spans) == 2
