"""Generated cases: each has the same result in Courier, or a named deviation."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.conformance.case import cases
from tests.conformance.harness import SAMPLE, Tally, judge
from tests.conformance.made import MADE
from tests.conformance.mutations import mutations
from tests.conformance.stock_scripts import is_stock

KINDS = {
    "config": {"C1", "D7", "D8", "C27"},
    "filters": {"C6", "C32", "D15"},
    "alert_text": {"C6", "C32"},
    "tail": {"C6", "C32"},
    "deliveries": {
        "D4",
        "D9",
        "D11",
        "D12",
        "D17",
        "C7",
        "C8",
        "C11",
        "C12",
        "C13",
        "C14",
        "C15",
        "C16",
        "C17",
        "C31",
        "C33",
    },
}
"""The deviations that the made cases show."""

MUTATED_OF = {"deliveries": 29, "config": 5, "filters": 3}
"""Every how-many-th case is mutated, where there are many."""


@pytest.mark.slow
@pytest.mark.parametrize("family", MADE)
def test_no_generated_case_is_different(family: str) -> None:
    tally = Tally()
    for case in MADE[family]():
        judge(family, case, tally)
    assert tally.different == []
    assert tally.same
    assert set(tally.deviations) >= KINDS[family]


@pytest.mark.slow
@pytest.mark.parametrize("family", MADE)
def test_every_mutation_of_a_generated_case_is_noticed(family: str) -> None:
    """As with the sample: a predicate holds only for its own reason."""
    for case in islice(MADE[family](), 0, None, MUTATED_OF.get(family, 1)):
        before = _judged(family, case)
        for what, mutated in mutations(family, case):
            now = _judged(family, mutated)
            assert now.different or (now.same and not before.same), (case["id"], what, now.deviations)


def _judged(family: str, case: dict[str, object]) -> Tally:
    tally = Tally()
    judge(family, case, tally)
    return tally


def test_the_rewritten_stock_scripts_match_the_recordings() -> None:
    """The scripts that complete the generated deliveries agree with every recording of the sample."""
    assert [case["id"] for case in cases(SAMPLE / "deliveries.jsonl") if not is_stock(case)] == []
