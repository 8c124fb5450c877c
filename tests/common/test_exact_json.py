from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.exact_json import RawNumber, as_number, read_json, write_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(PLAIN)
def test_without_fractions_the_json_is_as_pythons(value: Any) -> None:
    assert write_json(value) == json.dumps(value)
    assert read_json(write_json(value)) == value


@given(PLAIN)
def test_with_a_fraction_the_rest_is_as_pythons(value: Any) -> None:
    assert write_json([RawNumber("0.5"), value]) == json.dumps([0.5, value])


@given(st.lists(NUMBERS, min_size=1))
def test_every_number_is_written_as_it_was_read(numbers: list[str]) -> None:
    text = f'{{"numbers": [{", ".join(n for n in numbers if n != "-0")}]}}'
    assert write_json(read_json(text)) == text


@pytest.mark.parametrize("text", ["0.30000000000000004", "1.10", "1e400", "-1E-5", "9007199254740993", "9" * 5000])
def test_numbers_that_other_readers_round_are_kept(text: str) -> None:
    assert write_json([read_json(text)]) == f"[{text}]"


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[Infinity]", "", "{", "1 2", '"\t"', "[" * 100_000])
def test_invalid_json_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


@pytest.mark.parametrize("value", [float("nan"), {"a": object()}, [RawNumber("0.5"), object()]])
def test_a_value_without_json_form_raises_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(value)


@pytest.mark.parametrize("leaf", [1, RawNumber("0.5")])
def test_deep_nesting_raises_value_error(leaf: object) -> None:
    value: object = leaf
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        write_json(value)


def test_raw_control_characters_are_accepted_if_not_strict() -> None:
    assert read_json('"a\tb"', strict=False) == "a\tb"


@pytest.mark.parametrize(
    ("value", "worth"), [(7, 7), (RawNumber("6.9"), 6.9), (True, 1), ("7", None), (None, None), ([], None)]
)
def test_only_numbers_and_booleans_have_a_numeric_value(value: object, worth: float | None) -> None:
    assert as_number(value) == worth


def test_the_repr_of_a_number_is_its_text() -> None:
    assert f"{RawNumber('1.10')}" == "1.10"
    assert {RawNumber("1.10"): 1}[RawNumber("1.10")] == 1
    assert RawNumber("1.10") != 1.1
