from __future__ import annotations

from common.settings.load import DEFAULTS_FILE
from common.settings.sources import FIXED
from ops.docs.render.settings import PAGE, render

REFERENCE = render(DEFAULTS_FILE.read_text(encoding="utf-8"))


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == REFERENCE, "run: python -m ops.docs.render.settings"


def test_every_setting_is_on_the_page_with_its_meaning() -> None:
    for key in FIXED.values():
        (row,) = [line for line in REFERENCE.splitlines() if f"| `{key.variable}` |" in line]
        meaning = row.rpartition(" | ")[2]
        assert len(meaning) > len("| .")
