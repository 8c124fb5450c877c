"""The benchmark of the console's open pages, with few of them."""

from __future__ import annotations

from ops.bench.open_pages import measure


def test_it_measures_pages_that_are_updated() -> None:
    found = {one.name: one for one in measure(pages=2, integrations=8, seconds=3, rounds=1)}
    assert found["percent_of_a_core"].met
    assert found["updates_a_page_per_s"].median > 0
