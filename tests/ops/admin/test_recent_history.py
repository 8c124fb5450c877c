from __future__ import annotations

from common.ledger import Facts, HistoryEntry, UnreadableEntry
from ops.admin.recent_history import NoisiestRule, RecentHistory, sample_size, summarize


def entry(ended_ms: int, outcome: str = "delivered", *, rule: str = "1", committed_ms: int = 1000) -> HistoryEntry:
    facts = Facts(rule_id=rule, rule_description=f"rule {rule}", committed_ms=committed_ms)
    return HistoryEntry(
        integration="slack", position=f"{ended_ms}-0", delivery="d", outcome=outcome, reason="", facts=facts
    )


def test_empty_history_says_nothing() -> None:
    unreadable = UnreadableEntry(integration="slack", position="", problem="x")
    nothing = RecentHistory(entries=0, last_success_ms=None, latency_p50_s=None, latency_p99_s=None, noisiest_rule=None)
    assert summarize([]) == summarize([unreadable]) == nothing


def test_latency_is_of_what_was_delivered_and_the_rule_of_all_ends() -> None:
    delivered = [entry(1000 + 100 * n, rule=str(n)) for n in range(100, 0, -1)]
    others = [entry(20_000, "dead", rule="7"), entry(20_001, "discarded", rule="8")]
    without_commit = entry(1, committed_ms=0, rule="")
    assert summarize([*others, *delivered, without_commit]) == RecentHistory(
        entries=102,
        last_success_ms=11_000,
        latency_p50_s=5.0,
        latency_p99_s=9.9,
        noisiest_rule=NoisiestRule(id="7", description="rule 7", entries=2),
    )


def test_samples_of_many_integrations_are_smaller() -> None:
    assert [sample_size(n) for n in (0, 1, 20, 50, 1000)] == [100, 100, 100, 40, 20]
