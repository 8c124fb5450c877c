from __future__ import annotations

import pytest

from tests.conformance.deviations import DEVIATIONS
from tests.conformance.harness import FAMILIES, SAMPLE, run_all
from tests.conformance.render import PAGE, STRICTER, count, counts_of, render


def test_the_compatibility_page_is_current() -> None:
    """The counts come from the recorded vectors; if these exist, `make conformance` compares the counts too."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(counts_of(page)), "run: python -m tests.conformance.render"
    assert all(f"| {family} |" in counts_of(page) for family in FAMILIES)


def test_every_deviation_is_on_the_page_once() -> None:
    page = render("")
    assert all(page.count(f"\n| {one.id} |") == 1 for one in DEVIATIONS)
    assert {one.id for one in DEVIATIONS} >= STRICTER


@pytest.mark.slow
def test_counts_of_a_run() -> None:
    tallies = run_all(SAMPLE)
    line = next(line for line in count(tallies).splitlines() if line.startswith("| sregex |"))
    assert line.endswith(f"| {tallies['sregex'].same} | 1 | 0 | D5 1 |")
