from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.ledger import HistoryEntry
from common.ledger.history import Facts
from ops.admin.latency_history import MIN_STEP_MS, SPAN_MS, STEPS, latency_steps

NOW_MS = 1_769_846_400_000


def entry(ended_ms: int, latency_ms: int, outcome: str = "delivered") -> HistoryEntry:
    facts = Facts(committed_ms=ended_ms - latency_ms)
    return HistoryEntry(
        integration="slack", position=f"{ended_ms}-0", delivery="d", outcome=outcome, reason="", facts=facts
    )


def test_steps_have_the_percentiles_of_what_was_delivered_and_gaps_have_none() -> None:
    old = [entry(NOW_MS - 3 * MIN_STEP_MS + n, 100 * n) for n in range(1, 101)]
    steps = latency_steps([entry(NOW_MS, 5, "dead"), entry(NOW_MS, 7000), *old], NOW_MS)
    assert [(one.delivered, one.latency_p50_s, one.latency_p99_s) for one in steps] == [
        (100, 5.0, 9.9),
        (0, None, None),
        (1, 7.0, 7.0),
    ]
    assert latency_steps([entry(NOW_MS, 5, "dead")], NOW_MS) == []


@given(st.lists(st.integers(-SPAN_MS * 2, SPAN_MS), min_size=1, max_size=30))
def test_every_delivery_is_in_one_of_the_steps_whatever_clocks_say(ages: list[int]) -> None:
    steps = latency_steps([entry(NOW_MS + one, 1000) for one in ages], NOW_MS)
    assert sum(one.delivered for one in steps) == len(ages)
    assert len(steps) <= STEPS
    assert all(one.to_ms == two.from_ms for one, two in pairwise(steps))
