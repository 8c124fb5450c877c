from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.exact_json import RawNumber
from common.integration_options import parse_options

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('{"pretext": "x"}', {"pretext": "x"}),
        (' \n{"a": {"b": 1}}\n', {"a": {"b": 1}}),
        ('[["a", 1], ["b", null]]', {"a": 1, "b": None}),
        ('["ab", "cd"]', {"a": "b", "c": "d"}),
        ('{"a": 1.10}', {"a": RawNumber("1.10")}),
        ("{}", {}),
        ("[]", {}),
        ("null", {}),
        ("0", {}),
        ("-0.0", {}),
        ('""', {}),
        ("false", {}),
    ],
)
def test_objects_and_lists_of_pairs_are_options(text: str, options: dict[str, object]) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"is not JSON \(line 1, column 1 of the text\): write an object such as \{\} or leave it out"),
        ("hunter2", "is not JSON"),
        ('{"a": 1,}', "is not JSON"),
        ("{'hunter2': 1}", "is not JSON .*; JSON has its texts in double quotes"),
        ('{"a": NaN}', "is not JSON that can be read: write an object"),
        ("[" * 9000, "is not JSON that can be read: write an object"),
        ('\ufeff{"a": 1}', "is not JSON"),
        ('"abc"', "is JSON, but not an object: write one such as"),
        ("5", "is JSON, but not an object"),
        ("0.5", "is JSON, but not an object"),
        ("true", "is JSON, but not an object"),
        ("[1, 2]", "is JSON, but not an object"),
        ("[[1, 2]]", "is JSON, but not an object"),
        ('[[["a"], 2]]', "is JSON, but not an object"),
    ],
)
def test_other_options_are_refused_without_quoting_them(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_options(text)
    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=20) | JSON.map(json.dumps))
def test_any_text_is_an_object_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert all(isinstance(name, str) for name in parse_options(text))


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
def test_an_object_keeps_its_members(members: dict[str, Any]) -> None:
    assert parse_options(json.dumps(members)) == members
