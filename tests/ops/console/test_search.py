from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from common.ledger import Facts, Ledger
from common.ledger.history import encode_facts
from common.ledger.keys import history_key
from ops.console.pages.search import PAGE

if TYPE_CHECKING:
    import redis

    from tests.support.console import Visitor

HOSTILE = '"><script>alert(1)</script>\u202e\x1b[31m'
MINUTE_MS = 60_000


class World:
    """Writes entries as workers do."""

    def __init__(self, client: redis.Redis) -> None:
        client.hset("courier:integrations", mapping={"slack": "1", "teams": "1", "version": "1"})
        self.client, self.now_ms = client, Ledger(client).now_ms()

    def add(
        self,
        delivery: str,
        *,
        minutes: int = 0,
        to: str = "slack",
        outcome: str = "delivered",
        facts: Facts = Facts("1.1", "5710", 5, "brute force", "001", "web-1"),  # noqa: B008 — immutable
    ) -> None:
        fields = {"id": delivery, "outcome": outcome, "reason": "", "facts": encode_facts(facts)}
        ended_ms = self.now_ms - minutes * MINUTE_MS
        self.client.xadd(history_key(to), fields, id=f"{ended_ms}-*")  # type: ignore[arg-type]  # a dict is invariant


@pytest.fixture
def world(client: redis.Redis) -> World:
    return World(client)


def found(visitor: Visitor, query: str) -> list[str]:
    """Return the deliveries of one page in their order."""
    answer = visitor.get(f"/search?{query}")
    assert answer.status == 200, answer.text
    return re.findall(r'<a href="/alert/[^"]+" title="([^"]+)">', answer.text)


def test_filters_find_what_courier_history_finds(world: World, operator: Visitor) -> None:
    world.add("d-1", minutes=180)
    world.add("d-2", minutes=60, to="teams", outcome="dead")
    world.add("d-3", facts=Facts("1.3", "5712", 10, "sshd", "002", "db-1"))
    assert found(operator, "") == ["d-3", "d-2", "d-1"]
    for query, expected in {
        "alert=1.1": ["d-2", "d-1"],
        "alert=d-2": ["d-2"],
        "integration=teams": ["d-2"],
        "outcome=dead": ["d-2"],
        "rule=5712,9": ["d-3"],
        "rule=571*": ["d-3", "d-2", "d-1"],
        "agent=web-*": ["d-2", "d-1"],
        "agent=002": ["d-3"],
        "match=rule.level+%3E%3D+10": ["d-3"],
        "since=2h": ["d-3", "d-2"],
        "until=30m": ["d-2", "d-1"],
        "since=2h&until=30m&rule=5710": ["d-2"],
        "rule=1": [],
    }.items():
        assert found(operator, query) == expected, query


def test_what_cannot_be_read_is_said_above_the_form(world: World, operator: Visitor) -> None:
    del world
    for query, text in {
        "match=rule.level+%3E+%3E": "condition, column 14",
        "match=full_log+%7E+x": "the history has no field full_log",
        "since=yesterday": "since: 'yesterday' is not a time",
        "until=9999999999999d": "until:",
        "integration=slak": "did you mean 'slack'",
        "page=x": "is not the beginning of a page",
    }.items():
        answer = operator.get(f"/search?{query}")
        assert answer.status == 400
        assert text in unescape(answer.text), query
        assert 'role="alert"' in answer.text
        assert 'name="match"' in answer.text, "the form is still there"
    assert 'value="rule.level &gt; &gt;"' in operator.get("/search?match=rule.level+%3E+%3E").text


def test_pages_have_each_entry_once_even_if_many_ended_in_one_ms(world: World, operator: Visitor) -> None:
    expected = [f"d-{n}" for n in range(2 * PAGE + 1)]
    for name in expected:
        world.add(name, minutes=1, to="slack" if len(name) % 2 else "teams")
    seen, query = list[str](), ""
    for _ in range(3):
        page = operator.get(f"/search?{query}").text
        seen += re.findall(r'href="/alert/[^"]+" title="([^"]+)">', page)
        world.add("later")
        older = re.search(r'href="/search\?([^"]*)" rel="next"', page)
        query = unescape(older[1]) if older else ""
    assert sorted(seen) == sorted(expected)
    assert not query


def test_hostile_entries_are_text_and_a_malformed_one_costs_only_itself(
    world: World, client: redis.Redis, operator: Visitor
) -> None:
    world.add(HOSTILE, facts=Facts(HOSTILE, HOSTILE, 5, HOSTILE, HOSTILE, HOSTILE))
    client.xadd(history_key("slack"), {"id": "x"})
    client.set(history_key("teams"), "no stream")
    page = operator.get("/search?alert=%22%3E%3Cscript%3E%E2%80%AE").text
    assert "<script>alert" not in page
    page = operator.get("/search").text
    assert "<script>alert" not in page
    assert not {"\u202e", "\x1b"} & set(page)
    assert "1 malformed entry not shown" in page
    assert "is not a stream" in page
    link = re.search(r'href="(/alert/[^"]+)"', page)
    assert link
    assert operator.get(unescape(link[1])).status == 200
