from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.conditions import compile_condition, parse_condition, parse_named_conditions
from common.errors import ConditionError
from tests.common.conditions.examples import ALERT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = parse_named_conditions(
    {
        "quiet": ["@noisy", "rule.level < 3"],
        "noisy": ["rule.id = 5710 and agent.name = build-*", "agent.name = web*"],
        "never": ["rule.level > 99"],
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@noisy", True),
        ("not @noisy", False),
        ("@quiet", True),
        ("@never", False),
        ("not @never and @quiet and rule.level = 7", True),
        ("@noisy and rule.level = 8", False),
    ],
)
def test_a_name_holds_if_any_string_of_its_list_holds(text: str, expected: bool) -> None:
    condition = parse_condition(text, names=NAMES)
    assert compile_condition(condition)(ALERT) is expected
    assert parse_condition(str(condition), names=NAMES) == condition


def test_fields_of_names_are_needed_too() -> None:
    condition = parse_condition("not @quiet and data.x", names=NAMES)
    assert condition.fields == {"rule.id", "agent.name", "rule.level", "data.x"}
    assert not condition.is_fixed_by_rule
    assert parse_condition("@never", names=NAMES).is_fixed_by_rule


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x and @nosy", "there is no named condition @nosy; did you mean @noisy?"),
        ("x and @zzz", "there is no named condition @zzz; known are never, noisy, quiet"),
    ],
)
def test_an_unknown_name_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition(text, names=NAMES)
    assert (raised.value.problem, raised.value.column) == (problem, 7)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": ["x", "y == 1"]}, 'conditions.a[2], column 3: there is no operator "=="'),
        ({"a": ["x and @b"]}, "conditions.a[1], column 7: there is no named condition @b; known are a"),
        ({"a": ["@a"]}, "conditions.a[1], column 1: named conditions use each other in a circle: @a → @a"),
        (
            {"a": ["@b"], "b": ["x", "not @c"], "c": ["@a"]},
            "conditions.c[1], column 1: named conditions use each other in a circle: @a → @b → @c → @a",
        ),
        ({f"n{one}": [f"@n{one + 1}"] for one in range(11)}, "conditions.n9[1], column 1: named conditions use each"),
        ({"a": []}, "conditions.a, column 1: the list is empty"),
        ({"a b": ["x"]}, "conditions.a b, column 1: the name of a condition consists of"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(table: Mapping[str, Sequence[str]], message: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse_named_conditions(table)
    assert str(raised.value).startswith(message)


def test_names_cannot_multiply_without_end() -> None:
    table = {f"n{one}": [f"@n{one + 1} and @n{one + 1}"] * 9 for one in range(9)} | {"n9": ["x"]}
    with pytest.raises(ConditionError, match="more than 1000 comparisons"):
        parse_named_conditions(table)
