"""Every alert that is folded or delivered one by one is in exactly one number, whatever happens in whatever order.

Two producers fold random alerts into groups with random terms, while windows end, terms change, the clock is set back,
the backlog is full and an operator buries. At any moment the numbers add up, and at the end each alert is in exactly
one digest, or a delivery of its own, or below `min`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from common.ledger import Commit, Full, Settlement, SettleOutcome, Stale, Stored, Unaccounted, unaccounted
from common.settings.digest import Digest
from producer.digests.folder import Folder
from producer.filters.decode import decode_alert
from tests.support.fakes import SLACK, Clock
from tests.support.ledger import Ledger

if TYPE_CHECKING:
    import redis

ID = "slack"
NODES = ("n1", "n2")

ops = st.lists(
    st.one_of(
        st.tuples(st.just("alerts"), st.sampled_from(NODES), st.lists(st.integers(0, 3), max_size=12)),
        st.tuples(st.just("wait"), st.integers(1, 70)),
        st.tuples(st.just("set_back"), st.integers(1, 300)),
        st.tuples(st.just("terms"), st.integers(0, 3), st.integers(1, 4)),
        st.tuples(st.just("bury")),
        st.tuples(st.just("settle")),
    ),
    max_size=25,
)


class AnAlert(NamedTuple):
    """An alert as a line of the source."""

    id: str
    raw: bytes


class Run:
    """A ledger with a clock, and what was sent to it and came out. `alone` are ids delivered one by one."""

    def __init__(self, client: redis.Redis) -> None:
        self.clock = Clock()
        self.ledger = Ledger(client, clock=self.clock)
        self.sent = 0
        self.alone = Counter[str]()
        self.digests = Counter[str]()  # an id comes again if its window begins at the same time again
        self.terms(1, 1)

    def terms(self, first: int, least: int) -> None:
        digest = Digest(by=("rule.id",), first=first, min_alerts=least, every_s=60.0, top=("id",), samples=1)
        self.folder = Folder(SLACK, digest, {}, decode_alert)
        self.ledger.end_groups({ID: self.folder.prefix})

    def alerts(self, node: str, rules: list[int]) -> None:
        self.clock.now_s += 0.001  # the id of a digest has the ms in which its window began
        lines: list[Any] = []
        for rule in rules:
            self.sent += 1
            lines.append(
                AnAlert(f"{self.sent}", json.dumps({"id": str(self.sent), "rule": {"id": str(rule)}}).encode())
            )
        while lines:
            taken = self._commit(node, lines)
            lines = lines[taken:]
            if not taken:
                self.settle()

    def _commit(self, node: str, lines: list[Any]) -> int:
        """Commit the lines, or as many of them as there is room for; return how many."""
        deliveries, folds, _ = self.folder.fold(lines, {}, self.ledger.now_ms())
        cursor = self.ledger.cursor(ID, node)
        commit = Commit(
            node=node,
            expected=cursor,
            cursor=f"{cursor}+",
            deliveries=[(line.id, line.raw) for line in deliveries],
            max_backlog=6,
            max_backlog_bytes=10**6,
            counters={"read": len(lines)},
            folds=folds,
        )
        stale = structs.replace(commit, expected=f"{cursor}?")
        assert self.ledger.commit_all({ID: stale}, {})[0][ID] == Stale(cursor), "it changes nothing"
        match self.ledger.commit_all({ID: commit}, {})[0][ID]:
            case Full(room):
                return self._commit(node, lines[:room]) if room else 0
            case Stored(stored, folded):
                assert stored + folded == len(lines)
        return len(lines)

    def wait(self, seconds: int) -> None:
        self.clock.now_s += seconds
        self.settle()

    def set_back(self, seconds: int) -> None:
        self.clock.now_s -= seconds
        self.settle()

    def bury(self) -> None:
        self.ledger.bury(ID, reason="buried")
        for letter in [*self.ledger.dead_letters(ID)]:
            self._count(letter.delivery.id, letter.delivery.alert)
            self.ledger.discard(ID, [letter.delivery.id])

    def settle(self) -> None:
        """Deliver everything that waits."""
        tasks = self.ledger.release(ID, max_in_flight=100, batch_max=100, lease_s=60, linger_s=0)
        ids = [one for task in tasks for one in task]
        for delivery in self.ledger.begin(ID, ids, token="w", lease_s=60):
            self._count(delivery.id, delivery.alert)
            self.ledger.settle(ID, [Settlement(id=delivery.id, outcome=SettleOutcome.DELIVERED)], token="w")

    def _count(self, delivery_id: str, alert: bytes) -> None:
        found = json.loads(alert)
        if "courier" in found:
            self.digests[delivery_id] += found["courier"]["digest"]["count"]
        else:
            self.alone[delivery_id] += 1

    def check(self) -> None:
        assert unaccounted(self.ledger.status(ID)) == Unaccounted(alerts=0, deliveries=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ops)
def test_each_alert_is_in_one_digest_or_alone_or_below_the_least(client: redis.Redis, steps: list[Any]) -> None:
    client.flushall()
    run = Run(client)
    for name, *arguments in steps:
        getattr(run, name)(*arguments)
        run.check()
    run.ledger.end_groups({ID: ""})
    run.wait(300)  # by how much the clock was set back before a release knew the time
    run.check()
    status = run.ledger.status(ID)
    assert (status.groups, status.in_groups, max(run.alone.values(), default=1)) == (0, 0, 1)
    below = status.totals.get("below_min", 0)
    assert sum(run.digests.values()) + len(run.alone) + below == run.sent
