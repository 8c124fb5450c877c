from __future__ import annotations

import pytest

from workers.integrations.helpers.options import parse_options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('{"pretext": "x"}', {"pretext": "x"}),
        (' \n{"a": {"b": 1}}\n', {"a": {"b": 1}}),
        ('[["a", 1], ["b", null]]', {"a": 1, "b": None}),
        ('["ab", "cd"]', {"a": "b", "c": "d"}),
        ("{}", {}),
        ("[]", {}),
        ("null", {}),
        ("0", {}),
        ('""', {}),
        ("false", {}),
    ],
)
def test_objects_and_lists_of_pairs_are_options(text: str, options: dict[str, object]) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not JSON"),
        ("hunter2", "is not JSON"),
        ('{"a": 1,}', "is not JSON"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('\ufeff{"a": 1}', "is not JSON"),
        ('"abc"', "is JSON, but not an object"),
        ("5", "is JSON, but not an object"),
        ("[1, 2]", "is JSON, but not an object"),
        ("[[1, 2]]", "has a name that is not a string"),
    ],
)
def test_other_options_are_refused_without_quoting_them(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_options(text)
    assert "hunter2" not in str(refused.value)
