"""The index with conditions equals the naive evaluation: filters, then `only` and `except` on the alert as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.conditions import NamedCondition
from common.conditions.model import Comparison, Condition, Exists, Operator, Term
from producer.filters.decode import InvalidAlert, decode_alert
from producer.filters.index import FilterIndex, MatchResult
from tests.properties.test_conditions import naive, operators
from tests.properties.test_filters import alerts, integrations, passes
from tests.properties.test_prefilter import lines

if TYPE_CHECKING:
    from common.integration import Integration

paths = st.sampled_from(
    [
        *[("rule", "level"), ("rule", "id"), ("rule", "groups")] * 2,
        *[("rule",), ("rule", "Level"), ("location",), ("data",), ("data", "a"), ("rule", "level", "a")],
    ]
)
tests = st.sampled_from(list(Operator)).flatmap(
    lambda operator: st.builds(Comparison, paths, st.just(operator), operators[operator])
) | st.builds(Exists, paths)
terms = st.builds(Term, tests, st.booleans())
plain = st.builds(Condition, st.lists(terms, min_size=1, max_size=2).map(tuple))
named = st.builds(NamedCondition, st.just("x"), st.lists(plain, min_size=1, max_size=2).map(tuple))
rules = st.fixed_dictionaries(
    {},
    optional={
        "level": st.integers(0, 9),
        "id": st.sampled_from(["", "7", "a"]),
        "groups": st.lists(st.sampled_from(["", "7", "a"]), max_size=2),
    },
)
usual = st.fixed_dictionaries({"rule": rules}, optional={"location": st.sampled_from(["", "a"])})
Conditions = tuple[list[Condition], list[Condition]]


@st.composite
def configured(draw: st.DrawFn) -> tuple[dict[str, list[str]], list[tuple[Integration, Conditions]]]:
    """Return the named conditions, and integrations with their `only` and `except` as texts and as conditions."""
    name = draw(named)
    uses = st.builds(Condition, st.builds(Term, st.just(name), st.booleans()).map(lambda term: (term,)))
    some = st.lists(plain | uses, max_size=2)
    blocks = []
    for block in draw(st.lists(integrations, min_size=1, max_size=4)):
        only, without = draw(some), draw(some)
        texts = {"only": tuple(map(str, only)), "except_": tuple(map(str, without))}
        blocks.append((replace(block, **texts), (only, without)))
    return {"x": [str(one) for one in name.conditions]}, blocks


def expected(blocks: list[tuple[Integration, Conditions]], alert: dict[str, Any]) -> MatchResult:
    ids, excepted = list[str](), list[str]()
    for block, (only, without) in blocks:
        if passes(block, alert):
            held = all(naive(one, alert) for one in only) and not any(naive(one, alert) for one in without)
            (ids if held else excepted).append(block.id)
    return MatchResult(tuple(ids), tuple(excepted))


@settings(max_examples=2 * settings().max_examples)
@given(configured(), st.lists(alerts | usual, min_size=1, max_size=6))
def test_index_equals_the_naive_evaluation(
    given_blocks: tuple[dict[str, list[str]], list[tuple[Integration, Conditions]]], log: list[Any]
) -> None:
    names, blocks = given_blocks
    index = FilterIndex([block for block, _ in blocks], names)
    for alert in log * 2:  # the second time with full caches
        if "rule" in alert:
            assert index.evaluate(json.dumps(alert).encode()) == expected(blocks, alert)


@given(configured(), lines)
def test_index_with_conditions_accepts_the_same_lines(
    given_blocks: tuple[dict[str, list[str]], list[tuple[Integration, Conditions]]], raw: bytes
) -> None:
    names, blocks = given_blocks
    index = FilterIndex([block for block, _ in blocks], names)
    filters = FilterIndex([replace(block, only=(), except_=()) for block, _ in blocks])
    try:
        matched = filters.match(raw)
    except InvalidAlert as refused:
        with pytest.raises(InvalidAlert, match=f"^{refused.reason}:"):
            index.evaluate(raw)
        return
    found = index.evaluate(raw)
    assert sorted((*found.ids, *found.excepted)) == sorted(matched)
    decode_alert(raw)


@given(lines)
def test_whole_alert_is_what_the_standard_library_reads(raw: bytes) -> None:
    try:
        plain_json = json.loads(raw.decode("utf-8", "surrogateescape"), strict=False)
    except ValueError:
        return
    if isinstance(plain_json, dict) and b"NaN" not in raw and b"Infinity" not in raw:
        assert decode_alert(raw) == plain_json
