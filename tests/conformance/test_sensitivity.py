"""The comparison notices every mutation of an expected value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.case import cases
from tests.conformance.deviations import DEVIATIONS, HOLDS
from tests.conformance.harness import FAMILIES, SAMPLE, Tally, judge, run
from tests.conformance.mutations import mutations

if TYPE_CHECKING:
    from tests.conformance.case import Case

SMALLEST_SAMPLE = 15


def judged(family: str, case: Case) -> Tally:
    tally = Tally()
    judge(family, case, tally)
    return tally


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sample_has_no_difference(family: str) -> None:
    tally = run(family, SAMPLE / f"{family}.jsonl")
    assert tally.different == []
    assert tally.total >= SMALLEST_SAMPLE
    assert tally.same
    assert tally.deviations


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_mutation_is_noticed(family: str) -> None:
    """A mutation makes the case different. Only if stock and Courier differ can it turn one result into the other."""
    noticed = 0
    for case in cases(SAMPLE / f"{family}.jsonl"):
        was_same = bool(judged(family, case).same)
        for what, mutated in mutations(family, case):
            now = judged(family, mutated)
            assert now.different or (now.same and not was_same), (case["id"], what, now.deviations)
            noticed += bool(now.different)
    assert noticed >= SMALLEST_SAMPLE


@pytest.mark.parametrize("family", FAMILIES)
def test_no_predicate_accepts_a_result_of_another_case(family: str) -> None:
    """A deviation also describes Courier's result: with the result of another case it explains nothing."""
    sample = list(cases(SAMPLE / f"{family}.jsonl"))
    for case, other in zip(sample, [*sample[1:], sample[0]], strict=True):
        foreign = _ours(family, other)
        if _ours(family, case) != foreign:
            assert not any(one.explains(family, case, foreign) for one in DEVIATIONS), (case["id"], other["id"])


def _ours(family: str, case: Case) -> object:
    from tests.conformance.harness import family_module  # noqa: PLC0415 — beside its one use

    return family_module(family).ours(case)


def test_every_predicate_belongs_to_a_row_and_a_family() -> None:
    assert set(HOLDS) <= {one.id for one in DEVIATIONS}
    assert {family for families in HOLDS.values() for family in families} <= set(FAMILIES)


def test_a_case_that_raises_counts_as_different() -> None:
    tally = judged("sregex", {"id": "x", "class": "basic"})
    assert tally.different == ["x: KeyError: 'pattern'"]
