from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.alert.exact_json import RawNumber, as_number, read_json, write_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(PLAIN)
def test_without_fractions_it_writes_as_python_does(value: Any) -> None:
    assert write_json(value) == json.dumps(value)
    assert read_json(write_json(value)) == value


@given(PLAIN)
def test_beside_a_fraction_it_writes_as_python_does_too(value: Any) -> None:
    assert write_json([RawNumber("0.5"), value]) == json.dumps([0.5, value])


@given(st.lists(NUMBERS, min_size=1))
def test_every_number_is_written_as_it_was_read(numbers: list[str]) -> None:
    text = f'{{"numbers": [{", ".join(n for n in numbers if n != "-0")}]}}'
    assert write_json(read_json(text)) == text


@pytest.mark.parametrize("text", ["0.30000000000000004", "1.10", "1e400", "-1E-5", "9007199254740993", "9" * 5000])
def test_numbers_that_others_round_or_refuse_are_kept(text: str) -> None:
    assert write_json([read_json(text)]) == f"[{text}]"


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[Infinity]", "", "{", "1 2", '"\t"', "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)


@pytest.mark.parametrize("value", [float("nan"), {"a": object()}, [RawNumber("0.5"), object()]])
def test_what_has_no_json_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(value)


@pytest.mark.parametrize("leaf", [1, RawNumber("0.5")])
def test_nesting_without_end_is_a_value_error(leaf: object) -> None:
    value: object = leaf
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        write_json(value)


def test_raw_control_characters_are_taken_when_not_strict() -> None:
    assert read_json('"a\tb"', strict=False) == "a\tb"


@pytest.mark.parametrize(
    ("value", "worth"), [(7, 7), (RawNumber("6.9"), 6.9), (True, 1), ("7", None), (None, None), ([], None)]
)
def test_only_numbers_and_truths_are_worth_something(value: object, worth: float | None) -> None:
    assert as_number(value) == worth


def test_a_number_shows_itself_as_it_was_written() -> None:
    assert f"{RawNumber('1.10')}" == "1.10"
    assert {RawNumber("1.10"): 1}[RawNumber("1.10")] == 1
    assert RawNumber("1.10") != 1.1
