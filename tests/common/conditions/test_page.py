"""The examples of ops/docs/conditions.md are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from common.conditions import parse_condition, parse_named_conditions
from common.conditions.fields import MAX_CHARS, MAX_ELEMENTS
from common.conditions.parser import MAX_CHARS as MAX_CONDITION_CHARS
from common.conditions.parser import MAX_COMPARISONS
from common.conditions.regex import MAX_PROGRAM, compile_search
from tests.common.conditions.examples import holds

PAGE = (Path(__file__).parents[3] / "ops/docs/conditions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| `(.+)` \| `(.+)` \| (yes|no) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("condition", "value", "result"), EXAMPLES)
def test_an_example_is_true(condition: str, value: str, result: str) -> None:
    assert holds(condition, {"x": json.loads(value)}) is (result == "yes")


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 20


def test_the_conditions_of_the_first_block_and_the_named_ones_can_be_read() -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    first, named, *_ = (block for kind, block in blocks if not kind)
    for line in first.splitlines():
        assert str(parse_condition(line)) == line
    lists = {name: json.loads(texts) for name, texts in re.findall(r"^(\w+) = (\[.*\])$", named, re.MULTILINE)}
    assert set(parse_named_conditions(lists)) == {"noisy", "quiet"}


def test_the_limits_are_those_of_the_code() -> None:
    limits = PAGE.partition("## Limits")[2]
    for limit in (MAX_CONDITION_CHARS, MAX_COMPARISONS, MAX_PROGRAM, MAX_ELEMENTS, MAX_CHARS):
        assert f"{limit:,}" in limits
    compile_search(r"\w{500}")
