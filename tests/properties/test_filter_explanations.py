"""What is explained equals what is decided: the verdict of an explanation is that of the index, for any alert."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.conditions import parse_named_conditions
from common.printable import printable
from producer.filters.decode import InvalidAlert
from producer.filters.explain import MAX_TEXT_CHARS, MatchVerdict, explain_match
from producer.filters.index import FilterIndex
from tests.properties.test_filter_conditions import Conditions, configured, usual
from tests.properties.test_filters import alerts
from tests.properties.test_prefilter import lines

if TYPE_CHECKING:
    from common.integration import Integration
    from producer.filters.explain import MatchExplanation
    from producer.filters.index import MatchResult

Given = tuple[dict[str, list[str]], list[tuple["Integration", Conditions]]]


def decided(result: MatchResult, integration_id: str) -> MatchVerdict:
    if integration_id in result.ids:
        return MatchVerdict.MATCHES
    return MatchVerdict.EXCEPTED if integration_id in result.excepted else MatchVerdict.FILTERED


def assert_shown_safely(match: MatchExplanation) -> None:
    texts = [text for step in match.filters for text in (step.requires, step.has)]
    texts += [step.text for step in match.conditions]
    assert all(len(text) <= MAX_TEXT_CHARS and printable(text) == text for text in texts)


@settings(max_examples=2 * settings().max_examples)
@given(configured(), st.lists(alerts | usual, min_size=1, max_size=6))
def test_explanation_has_the_verdict_of_the_index(given_blocks: Given, log: list[Any]) -> None:
    names, blocks = given_blocks
    parsed = parse_named_conditions(names)
    for alert in log:
        if "rule" not in alert:
            continue
        raw = json.dumps(alert).encode()
        for block, _ in blocks:  # each by itself: ids repeat
            match = explain_match(block, parsed, raw)
            assert match.verdict is decided(FilterIndex([block], names).evaluate(raw), block.id)
            assert_shown_safely(match)


@given(configured(), lines)
def test_explanation_accepts_the_lines_that_the_index_accepts(given_blocks: Given, raw: bytes) -> None:
    names, blocks = given_blocks
    block, _ = blocks[0]
    try:
        result = FilterIndex([block], names).evaluate(raw)
    except InvalidAlert as refused:
        with pytest.raises(InvalidAlert, match=f"^{refused.reason}:"):
            explain_match(block, parse_named_conditions(names), raw)
        return
    assert explain_match(block, parse_named_conditions(names), raw).verdict is decided(result, block.id)
